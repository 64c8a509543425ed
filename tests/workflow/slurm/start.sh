#!/usr/bin/env bash
# A SLURM of one node on 127.0.0.1, for tests: as root, without systemd and slurmdbd, with two pretend GPUs.
# usage: start.sh FOLDER     (its state; stop.sh FOLDER ends it)
set -euo pipefail
folder=$1
node=$(hostname -s)
mkdir -p "$folder"/{state,spool,log,munge,dev} /etc/slurm
getent hosts "$node" | grep -q 127.0.0.1 || echo "127.0.0.1 $node" >>/etc/hosts

head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 755 "$folder" "$folder/munge"
chmod 400 "$folder/munge/key"
munge=(--force "--socket=$folder/munge/socket" "--key-file=$folder/munge/key" "--pid-file=$folder/munged.pid"
    "--log-file=$folder/munge/log" "--seed-file=$folder/munge/seed")

for gpu in 0 1; do
    [ -e "$folder/dev/gpu$gpu" ] || mknod "$folder/dev/gpu$gpu" c 1 3 # a /dev/null
done
memory=$(awk '/MemTotal/ {print int($2 / 1024) - 512}' /proc/meminfo)

# At this path, since job steps drop every SLURM_* variable. MinJobAge: without slurmdbd, squeue is asked for old jobs.
cat >/etc/slurm/slurm.conf <<CONF
ClusterName=ssc-test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
GresTypes=gpu
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=8 RealMemory=$memory Gres=gpu:fake:2 State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
echo "NodeName=$node Name=gpu Type=fake File=$folder/dev/gpu[0-1]" >/etc/slurm/gres.conf
printf 'CgroupPlugin=cgroup/v1\nConstrainDevices=no\n' >/etc/slurm/cgroup.conf

PATH=$PATH:/usr/sbin
munged "${munge[@]}"
slurmctld -c
slurmd -N "$node"
for _ in $(seq 300); do
    [ "$(sinfo --noheader --format %T 2>/dev/null)" = idle ] && exit 0
    sleep 0.1
done
echo "SLURM did not come up; see $folder/log" >&2
exit 1

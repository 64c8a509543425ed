#!/usr/bin/env bash
# Submit a job script and print the id of its job: rule, threads, megabytes, minutes, GPUs, job script.
set -euo pipefail
rule=$1 threads=$2 mem_mb=$3 minutes=$4 gpus=$5 script=$6
mkdir -p logs/cluster
select="select=1:ncpus=$threads:mem=${mem_mb}mb"
if [ "$gpus" -gt 0 ]; then select+=":ngpus=$gpus"; fi
qsub -V -N "ssc_$rule" -l "$select" -l "walltime=$((minutes * 60))" -j oe -o logs/cluster/ "$script"

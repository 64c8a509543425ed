#!/usr/bin/env bash
# What tests/workflow/test_slurm.py needs, on Debian and Ubuntu, as root. Daemons are not started.
set -euo pipefail
command -v slurmctld slurmd munged sbatch >/dev/null && exit 0
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge

#!/usr/bin/env bash
# What Snakemake asks of a job: running, success or failed. PBS keeps finished jobs for `qstat -x`.
state=$(qstat -x -f "$1" 2>/dev/null) || { echo running; exit; }  # a scheduler that does not answer is no failed job
if grep -q "job_state = F" <<<"$state"; then
    if grep -q "Exit_status = 0$" <<<"$state"; then echo success; else echo failed; fi
else
    echo running
fi

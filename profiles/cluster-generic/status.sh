#!/usr/bin/env bash
# What Snakemake asks of a job: running, success or failed. PBS keeps finished jobs for `qstat -x`.
job=$(qstat -x -f "$1" 2>/dev/null) || { echo running; exit; }  # a scheduler that does not answer is no failed job
value() { sed -n "s/^ *$1 = //p" <<<"$job"; }
if [ "$(value job_state)" != F ]; then
    echo running
elif [ "$(value Exit_status)" = 0 ]; then
    echo success
else
    echo failed
    # a job that was killed whole left no word in its log: PBS counts signals from 256, shells from 128
    status=$(value Exit_status)
    if [ "${status:-0}" -gt 128 ]; then
        echo "job $1 was killed by signal $((status % 128)) ($(kill -l $((status % 128)) 2>/dev/null))." \
            "It had asked for $(value Resource_List.mem) of memory and used $(value resources_used.mem)." >&2
    fi
fi

"""A process that has imported Snakemake and forks for every call: a dry run then takes a third of the time.

Reads lines of JSON from stdin, {"arguments": [...], "cwd": "..."}, and answers each with {"code": 0, "output": "..."}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import pydantic  # noqa: F401  imported here so that no call imports it
import snakemake.cli
import snakemake.dag
import snakemake.workflow


def call(arguments: list[str], cwd: str) -> dict[str, object]:
    """Run Snakemake in a child process; its output is merged."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.chdir(cwd)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1)
            try:
                snakemake.cli.main(arguments)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            sys.stdout.flush()
            os._exit(code)
        status = os.waitpid(child, 0)[1]
        output.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "output": output.read().decode(errors="replace")}


for line in sys.stdin:
    print(json.dumps(call(**json.loads(line))), flush=True)

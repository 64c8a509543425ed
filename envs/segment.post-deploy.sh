#!/usr/bin/env bash
# Run by Snakemake when it has made the environment of segment.yaml. The package asks for a second OpenCV and for supervision,
# which its network never imports, and a list of pip's cannot say --no-deps for one line.
set -euo pipefail
python -m pip install --no-deps rf-groundingdino==0.3.0

"""Call a function as a rule does: `python -m workflow_scripts.call MODULE:FUNCTION --option value ...`."""

import importlib
import sys

from workflow_scripts._script import run

module, _, function = "".join(sys.argv[1:2]).partition(":")
if not function:
    sys.exit(__doc__)
run(getattr(importlib.import_module(module), function), sys.argv[2:])

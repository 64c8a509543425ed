"""Call a function as a rule does: `python -m workflow_scripts.call MODULE:FUNCTION --option value ...`."""

import importlib
import sys
from types import TracebackType

from workflow_scripts._script import run


def _without_interrupts(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C ends a job wherever it is: where that was is of no use to people."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _without_interrupts
module, _, function = "".join(sys.argv[1:2]).partition(":")
if not function:
    sys.exit(__doc__)
run(getattr(importlib.import_module(module), function), sys.argv[2:])

"""Call a function as a rule does: `python -m workflow_scripts.call MODULE:FUNCTION --option value ...`."""

import importlib
import sys
from types import TracebackType

from ssc_core.quick_import import without_collector
from workflow_scripts._script import run


def _without_interrupts(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C ends a job wherever it is: where that was is of no use to people."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _without_interrupts
module, _, function = "".join(sys.argv[1:2]).partition(":")
if not function:
    sys.exit(__doc__)
with without_collector():
    main = getattr(importlib.import_module(module), function)
run(main, sys.argv[2:])

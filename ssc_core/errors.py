"""The one exception that is meant for people."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SscError(Exception):
    """Something that the user can mend. The message says what is wrong, where, and what to do.

    Command-line entry points print the message alone, without a traceback; everything else that escapes is a bug.
    """


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """What to append to a message about an unknown name: ``; did you mean 'select'?``, or ``"."``."""
    close = get_close_matches(str(name), list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else "."


FETCH = "`ssc fetch --config CONFIG` gets the published files that a config names"
"""What messages say of files that are not there and may be published ones."""

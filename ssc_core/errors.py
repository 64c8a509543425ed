"""The one exception that is meant for people."""

from __future__ import annotations


class SscError(Exception):
    """Something that the user can mend. The message says what is wrong, where, and what to do.

    Command-line entry points print the message alone, without a traceback; everything else that escapes is a bug.
    """

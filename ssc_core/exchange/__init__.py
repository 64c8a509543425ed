"""Masks in the formats of other tools. ``formats`` is the table; a module beside it writes and reads one."""

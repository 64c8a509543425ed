"""The version, in a module of its own: the package itself loads ``ssc_core.api``, which is above all others."""

__version__ = "0.1.0"

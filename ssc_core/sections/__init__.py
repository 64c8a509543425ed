"""The sections of the config, one frozen pydantic class each. ``ssc_core.settings`` puts them together."""

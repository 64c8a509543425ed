"""The ``ssc`` command: one module a subcommand. Modules here import nothing heavy at their top."""

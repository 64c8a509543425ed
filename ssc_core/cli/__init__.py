"""The ``ssc`` command: one module per subcommand. Modules here import nothing heavy at their top."""

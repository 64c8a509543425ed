"""Published weights and data: where they come from, and how they get here whole. Imports nothing heavy."""

"""The ground floor: what a config says, what results depend on, and how it is varied. Imports nothing above."""

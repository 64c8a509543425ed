"""Masks for photos and sentences outside the workflow: what to predict, by which model, and what to write.

The one room of the library that knows several stages.
"""

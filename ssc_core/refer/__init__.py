"""Annotations to RefTable: readers of the REFER layout and of a user's own table, photos, and ground-truth masks."""

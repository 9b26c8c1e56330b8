"""Readers of values: JSON, literals of Python and plain text, which become valid JSON as they arrive."""

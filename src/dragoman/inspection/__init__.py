"""Inspects a model when it is loaded: its dialect, the capabilities of its chat template, its template variables."""

"""Measurements, side by side and in one run: `uv run python -m bench`."""

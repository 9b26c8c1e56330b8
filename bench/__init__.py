"""Benchmarks that compare Dragoman with other servers in one run: `uv run python -m bench`."""

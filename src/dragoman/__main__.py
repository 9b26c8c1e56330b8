"""Runs the command line as `python -m dragoman`."""

from dragoman.cli import main

main()

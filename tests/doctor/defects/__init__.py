"""Defects of a server, each a function with the checks that notice it: they show that every check can fail."""

from . import answers, calls, http, sessions, streams
from .registry import DEFECTS, Defect

__all__ = ["DEFECTS", "Defect", "answers", "calls", "http", "sessions", "streams"]

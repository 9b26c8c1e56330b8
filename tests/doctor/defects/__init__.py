"""What can be wrong with a server, a function each, and which checks notice: the proof that every check can fail."""

from . import answers, calls, door, sessions, streams
from .kit import DEFECTS, Defect

__all__ = ["DEFECTS", "Defect", "answers", "calls", "door", "sessions", "streams"]

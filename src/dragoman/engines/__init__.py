"""Engines: token ids in, text out. Nothing here knows of Anthropic, of dialects or of templates."""

from dragoman.engines.base import Capabilities, Engine, Finish, FinishReason, Job, Piece, PrefillProgress

__all__ = ["Capabilities", "Engine", "Finish", "FinishReason", "Job", "Piece", "PrefillProgress"]

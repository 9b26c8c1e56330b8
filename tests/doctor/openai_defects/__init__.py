"""Defects of a server with the OpenAI API: they show that every check of it can fail."""

from . import chat, common, responses
from .registry import OPENAI_DEFECTS, OpenAIDefect

__all__ = ["OPENAI_DEFECTS", "OpenAIDefect", "chat", "common", "responses"]

"""Renders conversations to prompts and token ids: the only package that renders or counts prompts."""

from dragoman.prompt.builder import Prompt, PromptBuilder
from dragoman.prompt.profile import ModelProfile
from dragoman.prompt.render import Rendered, Renderer, render_conversation
from dragoman.prompt.template import ChatTemplate, TemplateRefusal

__all__ = [
    "ChatTemplate",
    "ModelProfile",
    "Prompt",
    "PromptBuilder",
    "Rendered",
    "Renderer",
    "TemplateRefusal",
    "render_conversation",
]

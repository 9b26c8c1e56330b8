"""From a conversation to token ids: the only place where a prompt is rendered or counted."""

from dragoman.prompt.builder import Prompt, PromptBuilder
from dragoman.prompt.lineage import Lineage, Trail, trail_of
from dragoman.prompt.render import Rendered, Renderer, render_conversation
from dragoman.prompt.template import ChatTemplate, TemplateRefusal

__all__ = [
    "ChatTemplate",
    "Lineage",
    "Prompt",
    "PromptBuilder",
    "Rendered",
    "Renderer",
    "TemplateRefusal",
    "Trail",
    "render_conversation",
    "trail_of",
]

"""From a conversation to token ids: the only place where a prompt is rendered or counted."""

from dragoman.prompt.builder import Prompt, PromptBuilder
from dragoman.prompt.template import ChatTemplate, TemplateRefusal

__all__ = ["ChatTemplate", "Prompt", "PromptBuilder", "TemplateRefusal"]

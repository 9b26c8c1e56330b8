"""The result of inspecting a model: everything that rendering prompts needs."""

from dataclasses import dataclass, field

from dragoman.dialects import Dialect
from dragoman.prompt.capabilities import TemplateCapabilities
from dragoman.prompt.template import ChatTemplate
from dragoman.prompt.turn_boundary import TurnBoundary


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """A model's chat template, its dialect, and the properties of the template that inspection found."""

    template: ChatTemplate
    dialect: Dialect
    capabilities: TemplateCapabilities
    boundary: TurnBoundary = field(default_factory=TurnBoundary)

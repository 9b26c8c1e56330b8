"""What is known about a model once it has been inspected: all that prompts are made with."""

from dataclasses import dataclass, field

from dragoman.dialects import Dialect
from dragoman.prompt.capabilities import TemplateCapabilities
from dragoman.prompt.template import ChatTemplate
from dragoman.prompt.turn_boundary import TurnBoundary


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """A model's chat template, its dialect, and what inspection found out about the template."""

    template: ChatTemplate
    dialect: Dialect
    capabilities: TemplateCapabilities
    boundary: TurnBoundary = field(default_factory=TurnBoundary)

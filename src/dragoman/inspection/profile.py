"""Inspects a chat template: what it can do, and what stands between its prompts and the turns of the model."""

from dataclasses import replace

from dragoman.dialects import Dialect
from dragoman.inspection.capability_probe import probe
from dragoman.inspection.turn_boundary import find_boundary
from dragoman.prompt import ChatTemplate, ModelProfile, Renderer


def inspect(template: ChatTemplate, dialect: Dialect) -> ModelProfile:
    """The profile of a model with this template and this dialect. Raises `TemplateRefusal` where the template is of no use."""
    with template.inspected():
        profile = ModelProfile(template, dialect, probe(template))
        return replace(profile, boundary=find_boundary(Renderer(profile)))

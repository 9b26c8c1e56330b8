"""Inspects a chat template: its capabilities, and the boundary between its prompts and the answers of the model."""

from dataclasses import replace

from dragoman.dialects import Dialect
from dragoman.inspection.capability_probe import probe
from dragoman.inspection.turn_boundary import find_boundary
from dragoman.prompt import ChatTemplate, ModelProfile, Renderer


def inspect(template: ChatTemplate, dialect: Dialect) -> ModelProfile:
    """The profile of a model with this template and dialect. Raises `TemplateRefusal` if the template cannot be used."""
    with template.inspected():
        profile = ModelProfile(template, dialect, probe(template))
        return replace(profile, boundary=find_boundary(Renderer(profile)))

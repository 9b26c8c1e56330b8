"""The model file that the user named; where none is named and none is installed, which models fit this machine."""

from dragoman.cli.usage_error import UsageError
from dragoman.models.memory import free_memory
from dragoman.models.recommended import recommendations
from dragoman.models.resolve import DEFAULT, ModelFile, NoModel, UnusableModel, resolve

_MOST_SHOWN = 3


def named_model(command: str, model: str | None, projector: str | None = None) -> ModelFile:
    """Find the model, and download it if needed. Raises `UsageError`, whose lines to paste begin with `command`."""
    try:
        return resolve(model, projector)
    except NoModel:
        raise UsageError(advice(command, free_memory().total)) from None
    except UnusableModel as error:
        raise UsageError(str(error)) from error


def advice(command: str, memory: int) -> str:
    """Three lines: what is missing, which models fit into `memory` bytes, and how to take one."""
    known = recommendations()
    fitting = known.fitting(memory)[:_MOST_SHOWN]
    month = f"{known.date:%B %Y}"
    listed = ", ".join(f"{model.name} ({model.size:g} GB)" for model in fitting)
    smallest = known.models[0]
    chosen = fitting[0] if fitting else None
    take = f"dragoman {command} {chosen.name} downloads and serves it" if chosen else f"dragoman {command} path/to/model.gguf"
    return "\n".join(
        [
            f"name a model: none is installed with this package, and {memory / 1e9:.0f} GB of memory are free here.",
            f"Of the models recommended in {month}, these fit: {listed}."
            if chosen
            else f"No model recommended in {month} fits: the smallest, {smallest.name}, takes {smallest.memory:g} GB.",
            f"Take one: {take}. dragoman {command} {DEFAULT} is a tiny model, for trying the API.",
        ]
    )

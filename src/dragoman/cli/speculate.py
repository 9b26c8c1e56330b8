"""The values of `--speculate`: three words, or a draft model, which is named like MODEL."""

from typing import TYPE_CHECKING, Final

from dragoman.cli.usage_error import UsageError
from dragoman.models.resolve import NO_PROJECTOR, ModelFile, UnusableModel, resolve

if TYPE_CHECKING:
    from dragoman.engines.llama.speculation import Speculation

AUTO: Final = "auto"
WORDS: Final = (AUTO, "off", "ngram")


def draft_model(value: str) -> ModelFile | None:
    """Find the draft model, and download it if needed; None for the words. Raises `UsageError`."""
    if value in WORDS:
        return None
    try:
        return resolve(value, NO_PROJECTOR)
    except UnusableModel as error:
        raise UsageError(f"--speculate is {', '.join(WORDS)} or a draft model: {error}") from error


def without_draft(value: str) -> str:
    """The value for another model than the one that the draft model is for."""
    return value if value in WORDS else AUTO


def speculation(value: str, draft: ModelFile | None) -> "Speculation":
    """The engine's setting; `draft` is the draft model that was found."""
    from dragoman.engines.llama.speculation import Speculation, Way  # noqa: PLC0415 -- only for this engine

    return Speculation(Way.MODEL, str(draft.path)) if draft else Speculation(Way(value))

"""Fits windows and numbers of conversations to the memory there is, and logs what was chosen and why."""

import logging
from collections.abc import Sequence

from dragoman.cli.sizes import shown
from dragoman.models.fit import COMFORTABLE, Fit, Wanted, Wish, fit_all
from dragoman.models.memory import Memory
from dragoman.models.resolve import ModelFile

_LOG = logging.getLogger(__name__)


def wish(context: int | None, parallel: int | None) -> Wish:
    """What the user wants of a model; what is None is chosen."""
    return Wish(context=context, parallel=(parallel,)) if parallel else Wish(context=context)


def shown_window(fit: Fit) -> str:
    """The window and the number of conversations, for people."""
    conversations = "one conversation" if fit.parallel == 1 else f"each of {fit.parallel} conversations"
    return f"a window of {fit.context:,} tokens for {conversations}"


def fitted(models: Sequence[tuple[str, ModelFile, Wish]], memory: Memory) -> list[Fit]:
    """Choose for all models that are served together, each with its name for the log.

    A window that is too small for a coding agent is a warning.
    """
    wanted = [Wanted.of(model, wish) for _, model, wish in models]
    chosen = fit_all(wanted, memory)
    for (name, _, wish), want, fit in zip(models, wanted, chosen, strict=True):
        takes = f"about {shown(fit.memory)} of {shown(memory.total)} of memory"
        _LOG.info("%s: %s, %s", name, shown_window(fit), takes)
        if wish.context is None and fit.context < min(COMFORTABLE, want.longest):
            _LOG.warning(
                "%s: memory for more than %s tokens is lacking, and coding agents need about %s: a smaller model or a "
                "stronger quantisation leaves more (--context-length N takes more memory than was chosen)",
                name,
                f"{fit.context:,}",
                f"{COMFORTABLE:,}",
            )
    return chosen

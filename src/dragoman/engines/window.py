"""The context length that is used, where the user can limit the engine's."""

import logging

_LOG = logging.getLogger(__name__)


def clamped(window: int, asked: int | None, whose: str) -> int:
    """The smaller of the engine's context length and the requested one, in tokens; warns where more was requested."""
    if asked is not None and asked > window:
        _LOG.warning("a context of %d tokens is more than %s has: %d are used", asked, whose, window)
    return min(asked or window, window)

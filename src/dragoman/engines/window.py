"""How large a conversation may be, where the user has a say."""

import logging

_LOG = logging.getLogger(__name__)


def clamped(window: int, asked: int | None, whose: str) -> int:
    """An engine's own window, or the smaller one that was asked for: more than it has, nobody gets. In tokens."""
    if asked is not None and asked > window:
        _LOG.warning("a context of %d tokens is more than %s has: it gets %d", asked, whose, window)
    return min(asked or window, window)

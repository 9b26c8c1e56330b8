"""Finds or starts the server for the client."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import click

from dragoman.cli.launch import servers
from dragoman.cli.launch.environment import Target
from dragoman.cli.named_model import named_model
from dragoman.cli.usage_error import UsageError
from dragoman.models.fit import Wish, fit
from dragoman.models.memory import free_memory

_LARGEST = 131_072
"""Tokens. Without a large GPU a longer prompt takes too long to read; `--context-length` sets a larger window."""


@contextmanager
def server(  # noqa: PLR0913 -- options of the command line
    model: str | None,
    url: str | None,
    key: str | None,
    context: int | None,
    *,
    projector: str | None = None,
    may_start: bool,
) -> Iterator[Target]:
    """The server at `url`, the one at the default URL, or one that is started here, with this `projector`, and ends with us.

    `context` is the requested window in tokens: it can reduce the window of a running server, not extend it. Raises
    `UsageError`.
    """
    found = _named(url, key, model) if url else _running(key, model)
    if found:
        windows = [window for window in (found.window, context) if window is not None]
        yield replace(found, window=min(windows, default=None))
        return
    if not may_start:
        raise UsageError(
            f"no usable server runs at {servers.DEFAULT_URL}: start one with `dragoman serve`, or name one with --url."
        )
    weights = named_model("claude", model, projector)
    memory = free_memory()
    chosen = fit(weights, memory, Wish(_LARGEST, (1,) if context else (2, 1), context))
    conversations = "one conversation" if chosen.parallel == 1 else f"each of {chosen.parallel} conversations"
    click.echo(f"A window of {chosen.context:,} tokens for {conversations}; {memory.total >> 20:,} MiB were free", err=True)
    options = ["--context-length", str(chosen.context), "--parallel", str(chosen.parallel)]
    options += ["--mmproj", projector] if projector else []
    with servers.started([*([model] if model else []), *options]) as target:
        yield target


def _named(url: str, key: str | None, model: str | None) -> Target:
    url = url.rstrip("/")
    try:
        listed = servers.models(url, key)
    except servers.NoServer as error:
        raise UsageError(f"{url} cannot be used: {error}.") from None
    chosen = servers.choose(listed, model)
    if chosen is None:
        raise UsageError(f"{url} has no model {model}; it has {', '.join(found.id for found in listed)}.")
    return Target.of(url, chosen.id, chosen.window, key)


def _running(key: str | None, model: str | None) -> Target | None:
    """The server at the default URL, if it reports its context window and has the model."""
    try:
        listed = [found for found in servers.models(servers.DEFAULT_URL, key) if found.window is not None]
    except servers.WrongKey as error:
        click.echo(f"The server at {servers.DEFAULT_URL} is not used: {error}", err=True)
        return None
    except servers.NoServer:
        return None
    chosen = listed and (servers.choose(listed, model) or servers.choose(listed, named_model("claude", model).id))
    return Target.of(servers.DEFAULT_URL, chosen.id, chosen.window, key) if chosen else None

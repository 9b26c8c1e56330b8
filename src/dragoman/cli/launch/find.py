"""Finds or starts the server for a program."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import click

from dragoman.cli.engines import llama_program
from dragoman.cli.fitting import shown_window
from dragoman.cli.launch import servers
from dragoman.cli.launch.target import Target
from dragoman.cli.named_model import named_model
from dragoman.cli.usage_error import UsageError
from dragoman.models.fit import Fit, Wanted, Wish, fit_all
from dragoman.models.memory import free_memory
from dragoman.models.resolve import ModelFile

_LARGEST = 131_072
"""Tokens. Without a large GPU a longer prompt takes too long to read; `--context-length` sets a larger window."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What the user wants: a server at `url`, or one for these models, with these options of `dragoman serve`.

    `command` is the command that the user gave, without "dragoman". `context` is the requested window in tokens: it can reduce
    the window of a running server, not extend it.
    """

    command: str
    model: str | None = None
    small: str | None = None
    url: str | None = None
    key: str | None = None
    context: int | None = None
    mmproj: str | None = None
    llama_server: str | None = None
    gpu_layers: str | None = None
    web_search: str | None = None
    web_fetch: bool = False
    mcp_hosts: Sequence[str] = ()


@contextmanager
def server(launch: Launch, *, may_start: bool) -> Iterator[Target]:
    """The server at the URL, the one at the default URL, or one that is started here and ends with us. Raises `UsageError`."""
    found = _named(launch.url, launch) if launch.url else _running(launch)
    if found:
        windows = [window for window in (found.window, launch.context) if window is not None]
        yield replace(found, window=min(windows, default=None))
        return
    if not may_start:
        raise UsageError(
            f"no usable server runs at {servers.DEFAULT_URL}: start one with `dragoman serve`, or name one with --url."
        )
    files = [named_model(launch.command, launch.model, launch.mmproj)]
    files += [named_model(launch.command, launch.small)] if launch.small else []
    with servers.started(_arguments(launch, _fitted(launch, files))) as target:
        yield replace(target, small=files[1].id) if launch.small else target


def _fitted(launch: Launch, files: list[ModelFile]) -> Fit:
    """The window of the first model, beside the second one."""
    program = llama_program(launch.llama_server)
    memory = free_memory(program.free_memory if program else 0)
    wishes = [Wish(_LARGEST, (1,) if launch.context else (2, 1), launch.context), Wish()]
    chosen, *_ = fit_all([Wanted.of(file, wish) for file, wish in zip(files, wishes, strict=False)], memory)
    window = shown_window(chosen)
    click.echo(f"{window[0].upper()}{window[1:]}; {memory.total >> 20:,} MiB were free", err=True)
    return chosen


def _arguments(launch: Launch, chosen: Fit) -> list[str]:
    """The arguments of `dragoman serve`."""
    options = {
        "--context-length": str(chosen.context),
        "--parallel": str(chosen.parallel),
        "--small": launch.small,
        "--mmproj": launch.mmproj,
        "--llama-server": launch.llama_server,
        "--gpu-layers": launch.gpu_layers,
        "--web-search": launch.web_search,
    }
    given = [word for name, value in options.items() if value for word in (name, value)]
    given += ["--web-fetch"] if launch.web_fetch else []
    given += [word for host in launch.mcp_hosts for word in ("--mcp-host", host)]
    return [*([launch.model] if launch.model else []), *given]


def _named(url: str, launch: Launch) -> Target:
    url = url.rstrip("/")
    try:
        listed = servers.models(url, launch.key)
    except servers.NoServer as error:
        raise UsageError(f"{url} cannot be used: {error}.") from None
    chosen, small = (servers.choose(listed, name) for name in (launch.model, launch.small))
    for name, found in ((launch.model, chosen), (launch.small, small)):
        if found is None:
            raise UsageError(f"{url} has no model {name}; it has {', '.join(model.id for model in listed)}.")
    assert chosen is not None
    return Target.of(url, chosen.id, chosen.window, launch.key, launch.small)


def _running(launch: Launch) -> Target | None:
    """The server at the default URL, if it reports its context window and has the models."""
    url = servers.DEFAULT_URL
    try:
        listed = [found for found in servers.models(url, launch.key) if found.window is not None]
    except servers.WrongKey as error:
        click.echo(f"The server at {url} is not used: {error}", err=True)
        return None
    except servers.NoServer:
        return None
    if not listed:
        return None
    chosen, small = (
        servers.choose(listed, name) or servers.choose(listed, named_model(launch.command, name).id)
        for name in (launch.model, launch.small)
    )
    if chosen is None or small is None:
        return None
    return Target.of(url, chosen.id, chosen.window, launch.key, small.id if launch.small else None)

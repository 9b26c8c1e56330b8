"""`dragoman claude`: Claude Code on a local model, with everything that it needs to know, for this run only."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from dragoman.cli.launch import servers
from dragoman.cli.launch.environment import COMFORTABLE, PROMPT, Target, environment, removed, variables
from dragoman.cli.launch.fit import fit
from dragoman.cli.launch.overrides import overriding, replaced
from dragoman.cli.refusal import Refusal
from dragoman.cli.weights import UnusableModel, Weights, resolve

_CLIENT = "claude"
_ABSENT = (
    "Claude Code is not installed (there is no `claude` on the path): `npm install -g @anthropic-ai/claude-code` brings it."
)
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SIGNALS = [signal.SIGINT, *_ENDS]


class _WithArguments(click.Command):
    """A command whose line has a second half, behind `--`, that is somebody else's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the second half in `ctx.obj`."""
        end = args.index("--") if "--" in args else len(args)
        ctx.obj = args[end + 1 :]
        return super().parse_args(ctx, args[:end])


@click.command(cls=_WithArguments, short_help="Run Claude Code on a local model.")
@click.argument("model", metavar="[MODEL] [-- ARGS...]", required=False)
@click.option("--url", metavar="URL", help=f"The server; otherwise the one at {servers.DEFAULT_URL}, or one that is started.")
@click.option("--api-key", metavar="KEY", help="Its key, if it wants one.")
@click.option("--context-length", type=click.IntRange(min=16), metavar="N", help="The window in tokens; otherwise what fits.")
@click.option("--print-env", is_flag=True, help="Print the variables, as lines for a shell, and start nothing.")
@click.pass_obj
def claude(  # noqa: PLR0913 -- the options
    arguments: Sequence[str],
    model: str | None,
    *,
    url: str | None,
    api_key: str | None,
    context_length: int | None,
    print_env: bool,
) -> None:
    """Run Claude Code on a local model, and tell it all that it has to know; ARGS are its own.

    A server that runs is used as it is. Otherwise one is started and ends with the session: MODEL is then named as for `serve`,
    and its window is what fits memory. Claude Code's settings are left alone.
    """
    program = shutil.which(_CLIENT)
    if program is None and not print_env:
        raise Refusal(_ABSENT)
    server = _server(model, url, api_key, context_length, may_start=not print_env)
    with _signals(_ENDS, _leave), server as target:
        for line in _warnings(target):
            click.echo(f"Warning: {line}.", err=True)
        if print_env:
            click.echo("\n".join(_exports(target)))
            return
        assert program is not None
        click.echo(f"Claude Code works with {target.model} at {target.url}", err=True)
        status = _run([program, *arguments], environment(target, os.environ))
    raise SystemExit(status)


@contextmanager
def _server(model: str | None, url: str | None, key: str | None, context: int | None, *, may_start: bool) -> Iterator[Target]:
    """The server that was named, one that runs where servers do, or one that is started and ended."""
    found = _named(url, key, model) if url else _running(key, model)
    if found:
        windows = [window for window in (found.window, context) if window is not None]
        yield replace(found, window=min(windows, default=None))
        return
    if not may_start:
        raise Refusal(
            f"no server for that runs at {servers.DEFAULT_URL}: start one with `dragoman serve`, or name one with --url."
        )
    chosen = fit(_weights(model).path)
    window = context or chosen.context
    click.echo(
        f"A window of {window:,} tokens, for {chosen.parallel} at once ({chosen.memory >> 20:,} MiB are free).", err=True
    )
    options = ["--context-length", str(window), "--parallel", str(1 if context else chosen.parallel)]
    with servers.started([*([model] if model else []), *options]) as target:
        yield target


def _named(url: str, key: str | None, model: str | None) -> Target:
    url = url.rstrip("/")
    try:
        listed = servers.models(url, key)
    except servers.NoServer as error:
        raise Refusal(f"{url} is no server that can be used: {error}.") from None
    chosen = servers.choose(listed, model)
    if chosen is None:
        raise Refusal(f"{url} has no model {model}; it has {', '.join(found.id for found in listed)}.")
    return Target.of(url, chosen.id, chosen.window, key)


def _running(key: str | None, model: str | None) -> Target | None:
    """The server where `dragoman serve` listens, if it is one of ours and has the model."""
    try:
        listed = [found for found in servers.models(servers.DEFAULT_URL, key) if found.window is not None]
    except servers.NoServer:
        return None
    chosen = listed and (servers.choose(listed, model) or servers.choose(listed, _weights(model).id))
    return Target.of(servers.DEFAULT_URL, chosen.id, chosen.window, key) if chosen else None


def _weights(model: str | None) -> Weights:
    try:
        return resolve(model)
    except UnusableModel as error:
        raise Refusal(str(error)) from None


def _warnings(target: Target) -> Iterator[str]:
    if target.window is None:
        yield f"{target.url} does not tell its window: give --context-length N, or Claude Code takes it for a million tokens"
    elif target.is_cramped:
        too = "too small" if target.window < PROMPT else "small"
        yield (
            f"a window of {target.window:,} tokens is {too}: Claude Code's own prompt takes some {PROMPT:,} of them before "
            f"anything is said, and {COMFORTABLE:,} or more make it comfortable"
        )
    ours = variables(target, os.environ)
    yield from replaced(os.environ, ours)
    yield from overriding(os.environ, Path.cwd(), ours)


def _exports(target: Target) -> Iterator[str]:
    yield from (f"unset {name}" for name in removed(os.environ))
    yield from (f"export {name}={shlex.quote(value)}" for name, value in variables(target, os.environ).items())


def _run(command: Sequence[str], given: dict[str, str]) -> int:
    """Run the client in our place; its exit status. What signals we get, it gets, or has got from the terminal already."""
    with subprocess.Popen(command, env=given) as process:  # noqa: S603 -- what the user asked for

        def pass_on(number: int, _: FrameType | None) -> None:
            if number != signal.SIGINT:
                process.send_signal(number)

        with _signals(_SIGNALS, pass_on):
            status = process.wait()
    return status if status >= 0 else 128 - status


def _leave(number: int, _: FrameType | None) -> None:
    """End in order: what was started is ended, too."""
    raise SystemExit(128 + number)


@contextmanager
def _signals(numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)

"""`dragoman claude`: Claude Code on a local model, with everything that it needs to know, for this run only."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from dragoman.cli.launch import servers
from dragoman.cli.launch.environment import COMFORTABLE, PROMPT, Target, environment, removed, variables
from dragoman.cli.launch.find import server
from dragoman.cli.launch.overrides import overriding, replaced
from dragoman.cli.usage_error import UsageError

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
@click.option(
    "--url", metavar="URL", help=f"A running server; otherwise the one at {servers.DEFAULT_URL} is used, or one is started."
)
@click.option("--api-key", metavar="KEY", help="API key of the server.")
@click.option(
    "--context-length", type=click.IntRange(min=16), metavar="N", help="Context window in tokens; otherwise what fits."
)
@click.option("--print-env", is_flag=True, help="Print the environment variables as shell lines, and start nothing.")
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
    """Run Claude Code on a local model, with the settings it needs; ARGS are passed to Claude Code.

    A running server is used as it is. Otherwise one is started, which stops with the session: MODEL is then named as for
    `serve`, and its context window is what fits in memory. Claude Code's own settings are not changed.
    """
    program = shutil.which(_CLIENT)
    if program is None and not print_env:
        raise UsageError(_ABSENT)
    found = server(model, url, api_key, context_length, may_start=not print_env)
    with _signals(_ENDS, _leave), found as target:
        for line in _warnings(target):
            click.echo(f"Warning: {line}.", err=True)
        if print_env:
            click.echo("\n".join(_exports(target)))
            return
        assert program is not None
        click.echo(f"Claude Code works with {target.model} at {target.url}", err=True)
        status = _run([program, *arguments], environment(target, os.environ))
    raise SystemExit(status)


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

"""`dragoman claude`: runs Claude Code on a local model, with the settings that it needs for this run only."""

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
from dragoman.cli.launch.environment import PROMPT, Target, environment, removed, variables
from dragoman.cli.launch.find import Launch, server
from dragoman.cli.launch.overrides import overriding, replaced
from dragoman.cli.options import check_gpu_layers
from dragoman.cli.usage_error import UsageError
from dragoman.models.fit import COMFORTABLE

_CLIENT = "claude"
_ABSENT = "Claude Code is not installed (no `claude` on the path): install it with `npm install -g @anthropic-ai/claude-code`."
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SIGNALS = [signal.SIGINT, *_ENDS]


class _WithArguments(click.Command):
    """A command that keeps the arguments after `--` for another program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store the arguments after `--` in `ctx.obj` and parse the rest."""
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
@click.option("--small", metavar="MODEL", help="A second, small model for small requests, named like MODEL.")
@click.option("--mmproj", metavar="FILE|none", help="Image projector of MODEL for a server that is started, as for `serve`.")
@click.option("--llama-server", metavar="PATH|none", help="The llama-server of a server that is started, as for `serve`.")
@click.option(
    "--gpu-layers",
    metavar="N|auto|all",
    callback=check_gpu_layers,
    help="Layers on GPUs of a server that is started, as for `serve`.",
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
    small: str | None,
    mmproj: str | None,
    llama_server: str | None,
    gpu_layers: str | None,
    print_env: bool,
) -> None:
    """Run Claude Code on a local model, with the settings it needs; ARGS are passed to Claude Code.

    A running server is used as it is. Otherwise one is started, which stops with the session: MODEL is then named as for
    `serve`, and its context window is what fits in memory. Claude Code's own settings are not changed.
    """
    program = shutil.which(_CLIENT)
    if program is None and not print_env:
        raise UsageError(_ABSENT)
    launch = Launch(model, small, url, api_key, context_length, mmproj, llama_server, gpu_layers)
    found = server(launch, may_start=not print_env)
    with _signals(_ENDS, _exit), found as target:
        for line in _warnings(target):
            click.echo(f"Warning: {line}.", err=True)
        if print_env:
            click.echo("\n".join(_exports(target)))
            return
        assert program is not None
        models = f"{target.model} and {target.small}" if target.small else target.model
        click.echo(f"Claude Code works with {models} at {target.url}", err=True)
        status = _run([program, *arguments], environment(target, os.environ))
    raise SystemExit(status)


def _warnings(target: Target) -> Iterator[str]:
    if target.window is None:
        yield f"{target.url} does not report its window: give --context-length N, or Claude Code assumes a million tokens"
    elif target.is_cramped:
        too = "too small" if target.window < PROMPT else "small"
        yield (
            f"a window of {target.window:,} tokens is {too}: Claude Code's own prompt takes about {PROMPT:,} of them, and "
            f"{COMFORTABLE:,} or more are recommended"
        )
    ours = variables(target, os.environ)
    yield from replaced(os.environ, ours)
    yield from overriding(os.environ, Path.cwd(), ours)


def _exports(target: Target) -> Iterator[str]:
    yield from (f"unset {name}" for name in removed(os.environ))
    yield from (f"export {name}={shlex.quote(value)}" for name, value in variables(target, os.environ).items())


def _run(command: Sequence[str], given: dict[str, str]) -> int:
    """Run the client and return its exit status. Signals are forwarded, but for SIGINT, which the terminal sends to both."""
    with subprocess.Popen(command, env=given) as process:  # noqa: S603 -- what the user asked for

        def forward(number: int, _: FrameType | None) -> None:
            if number != signal.SIGINT:
                process.send_signal(number)

        with _signals(_SIGNALS, forward):
            status = process.wait()
    return status if status >= 0 else 128 - status


def _exit(number: int, _: FrameType | None) -> None:
    """Exit through the context managers, so that a started server is terminated."""
    raise SystemExit(128 + number)


@contextmanager
def _signals(numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)

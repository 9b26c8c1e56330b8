"""`dragoman launch`, and `dragoman claude`: run a coding agent on a local model, with what it needs for this run only."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from dragoman.cli.launch import servers
from dragoman.cli.launch.child import exits_in_order, run
from dragoman.cli.launch.environment import prepare, prepared
from dragoman.cli.launch.find import Launch, server
from dragoman.cli.launch.program import Program, User
from dragoman.cli.launch.programs import PROGRAMS
from dragoman.cli.launch.target import Target
from dragoman.cli.launch.warnings import warnings
from dragoman.cli.options import check_gpu_layers
from dragoman.cli.tables import table
from dragoman.cli.usage_error import UsageError


class _WithArguments(click.Command):
    """A command that keeps the arguments after `--` for another program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store the arguments after `--` in `ctx.obj` and parse the rest."""
        end = args.index("--") if "--" in args else len(args)
        ctx.obj = args[end + 1 :]
        return super().parse_args(ctx, args[:end])


_OPTIONS = [
    click.option(
        "--url", metavar="URL", help=f"A running server; otherwise the one at {servers.DEFAULT_URL} is used, or one is started."
    ),
    click.option("--api-key", "key", metavar="KEY", help="API key of the server."),
    click.option(
        "--context-length",
        "context",
        type=click.IntRange(min=16),
        metavar="N",
        help="Context window in tokens; otherwise what fits.",
    ),
    click.option("--small", metavar="MODEL", help="A second, small model for small requests, named like MODEL."),
    click.option(
        "--mmproj", metavar="FILE|none", help="Image projector of MODEL for a server that is started, as for `serve`."
    ),
    click.option("--llama-server", metavar="PATH|none", help="The llama-server of a server that is started, as for `serve`."),
    click.option(
        "--gpu-layers",
        metavar="N|auto|all",
        callback=check_gpu_layers,
        help="Layers on GPUs of a server that is started, as for `serve`.",
    ),
    click.option(
        "--web-search", metavar="PROVIDER[:URL]", help="Web searches of a server that is started run there, as for `serve`."
    ),
    click.option("--web-fetch", is_flag=True, help="A server that is started reads web pages, as for `serve`."),
    click.option(
        "--mcp-host",
        "mcp_hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        help="Host of MCP servers that a server that is started may use, as for `serve`; may be repeated.",
    ),
    click.option("--print-env", is_flag=True, help="Print the environment variables as shell lines, and start nothing."),
]


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return click.pass_obj(function)


@click.command(cls=_WithArguments, short_help="Run a coding agent on a local model.")
@click.argument("program", type=click.Choice(list(PROGRAMS)), metavar="[PROGRAM", required=False)
@click.argument("model", metavar="[MODEL] [-- ARGS...]]", required=False)
@_with_options
def launch(arguments: Sequence[str], program: str | None, model: str | None, **options: Any) -> None:
    """Run a coding agent on a local model, with the settings it needs; ARGS are passed to it.

    Without PROGRAM, the programs are listed. A running server is used as it is. Otherwise one is started, which stops with
    the session: MODEL is then named as for `serve`, and its context window is what fits in memory. The program's own settings
    are not changed.
    """
    if program is None:
        click.echo("\n".join(_listed()))
    else:
        _launch(PROGRAMS[program], f"launch {program}", arguments, model, options)


@click.command(cls=_WithArguments, short_help="Run Claude Code on a local model.")
@click.argument("model", metavar="[MODEL] [-- ARGS...]", required=False)
@_with_options
def claude(arguments: Sequence[str], model: str | None, **options: Any) -> None:
    """Run Claude Code on a local model, with the settings it needs; ARGS are passed to Claude Code.

    This is `dragoman launch claude`.
    """
    _launch(PROGRAMS["claude"], "claude", arguments, model, options)


def _listed() -> Sequence[str]:
    rows = [
        (program.name, program.title, program.api.value, shutil.which(program.executable) or f"no: {program.install}")
        for program in PROGRAMS.values()
    ]
    return list(table(("NAME", "PROGRAM", "API", "INSTALLED"), rows))


def _launch(program: Program, command: str, arguments: Sequence[str], model: str | None, options: dict[str, Any]) -> None:
    """Find or start the server, and run the program until it ends; `command` is what the user typed."""
    print_env = options.pop("print_env")
    executable = shutil.which(program.executable)
    if executable is None and not print_env:
        missing = f"no `{program.executable}` on the path"
        raise UsageError(f"{program.title} is not installed ({missing}): install it with `{program.install}`.")
    with exits_in_order(), server(Launch(command, model, **options), may_start=not print_env) as target:
        if executable is None or print_env:
            found = prepare(program, target, os.environ)
            _warn(program, target, found.variables)
            click.echo("\n".join(found.shell_lines()))
            return
        with prepared(program, target) as found:
            _warn(program, target, found.variables)
            click.echo(f"{program.title} works with {' and '.join(target.models)} at {target.url}", err=True)
            status = run([executable, *found.arguments, *arguments], found.environment(os.environ))
    raise SystemExit(status)


def _warn(program: Program, target: Target, ours: Any) -> None:
    for line in warnings(program, target, User(os.environ, Path.cwd()), ours):
        click.echo(f"Warning: {line}.", err=True)

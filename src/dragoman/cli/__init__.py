"""The command line."""

import click

from dragoman import __version__
from dragoman.cli.cache import cache
from dragoman.cli.detect import detect
from dragoman.cli.doctor import doctor
from dragoman.cli.launch.command import claude, launch
from dragoman.cli.library import list_models, pull, rm
from dragoman.cli.parse import parse
from dragoman.cli.render import render
from dragoman.cli.replay import replay
from dragoman.cli.running import ps, stop
from dragoman.cli.serve import serve
from dragoman.cli.top import top


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "DRAGOMAN"})
@click.version_option(__version__, prog_name="dragoman")
def main() -> None:
    """Serves open-weight models through the Anthropic Messages API."""


main.add_command(serve)
main.add_command(launch)
main.add_command(claude)
main.add_command(pull)
main.add_command(list_models)
main.add_command(rm)
main.add_command(ps)
main.add_command(stop)
main.add_command(top)
main.add_command(doctor)
main.add_command(parse)
main.add_command(detect)
main.add_command(render)
main.add_command(replay)
main.add_command(cache)

"""`dragoman pull`, `list` and `rm`: the models on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dragoman.cli.named_model import named_model
from dragoman.cli.sizes import shown
from dragoman.cli.tables import table
from dragoman.cli.usage_error import UsageError
from dragoman.models.fit import COMFORTABLE
from dragoman.models.memory import Footprint, files, free_memory
from dragoman.models.resolve import UnusableModel

if TYPE_CHECKING:
    from dragoman.models.library import LibraryModel

_HEADER = ("NAME", "SIZE", "QUANTISATION", "WINDOW", "IMAGES", "MEMORY", "LAST USED")


@click.command(short_help="Download a model.")
@click.argument("model")
def pull(model: str) -> None:
    """Download MODEL: hf:OWNER/REPO[:QUANT], or default, a tiny model for trying the API.

    A download that was interrupted is continued. What is on this machine already is not downloaded again.
    """
    if Path(model).exists():
        raise UsageError(f"{model} is a file on this machine: dragoman serve {model}")
    found = named_model("pull", model)
    size = sum(path.stat().st_size for path in files(found))
    footprint, free = Footprint.of(found), free_memory().total
    click.echo(f"{model} is on this machine: {shown(size)} in {found.path.parent}")
    if footprint.fixed > free:
        click.echo(f"It takes more than {shown(footprint.fixed)} of memory; {shown(free)} are free.")
    click.echo(f"Serve it: dragoman serve {model}")


@click.command("list", short_help="Show the models on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_models(*, as_json: bool) -> None:
    """Show the models on this machine, by the names with which they are served.

    MEMORY is about what a model takes with one conversation of 48,000 tokens, or of as many as it was trained for (WINDOW).
    """
    from dragoman.models import library  # noqa: PLC0415 -- slow to import

    found = library.models()
    if as_json:
        click.echo(msgspec.json.encode([_fields(model) for model in found]))
        return
    if found:
        click.echo("\n".join(table(_HEADER, [_row(model) for model in found])))
    else:
        click.echo("no models: dragoman pull hf:OWNER/REPO:Q4_K_M downloads one")
    if unfinished := library.unfinished():
        click.echo(f"{shown(unfinished)} of interrupted downloads: pull the model again to continue")


@click.command(short_help="Remove a model from this machine.")
@click.argument("model")
def rm(model: str) -> None:
    """Remove MODEL, named as `dragoman list` shows it.

    Files that another revision of the repository shares stay.
    """
    from dragoman.models import library  # noqa: PLC0415 -- slow to import

    try:
        removed = library.remove(model)
    except UnusableModel as error:
        raise UsageError(str(error)) from error
    shared = f"; {shown(removed.shared)} stay, because another revision shares them" if removed.shared else ""
    click.echo(f"removed {', '.join(removed.names)}: {shown(removed.freed)} freed{shared}")


def _row(model: "LibraryModel") -> list[str]:
    return [
        model.name,
        shown(model.size),
        model.quantisation or "",
        f"{model.window:,}" if model.window else "",
        "yes" if model.file.projector else "no",
        shown(model.memory(COMFORTABLE)),
        f"{model.used.astimezone():%Y-%m-%d %H:%M}",
    ]


def _fields(model: "LibraryModel") -> dict[str, object]:
    return {
        "name": model.name,
        "path": str(model.file.path),
        "size": model.size,
        "quantisation": model.quantisation,
        "window": model.window,
        "images": model.file.projector is not None,
        "memory": model.memory(COMFORTABLE),
        "last_used": model.used.isoformat(timespec="seconds"),
    }

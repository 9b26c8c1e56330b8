"""`dragoman cache`: shows and removes the conversations whose KV cache is saved on disk."""

from datetime import UTC, datetime
from pathlib import Path

import click

from dragoman.cli.sizes import shown
from dragoman.engines.llama.cache_folder import CacheKey, StoredFile, clear, read_key, stored_files
from dragoman.models.resolve import cache_folder


def default_folder() -> Path:
    """The folder in which conversations are saved if no option names one."""
    return cache_folder() / "conversations"


@click.command(short_help="Show or clear the conversations that are saved on disk.")
@click.argument("action", type=click.Choice(["show", "clear"]), default="show")
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    envvar=["DRAGOMAN_CACHE_CACHE_DIR", "DRAGOMAN_SERVE_CACHE_DIR"],
    help="The folder, if `serve` was given another than the default.",
)
def cache(action: str, cache_dir: Path | None) -> None:
    """Show the conversations that are saved on disk, for each model, or remove them all with `clear`.

    A server that runs goes on, and saves its conversations again.
    """
    folder = cache_dir or default_folder()
    if action == "clear":
        removed = clear(folder)
        click.echo(f"removed {_summary(removed)} from {folder}")
        return
    found = [(key, files) for key, files in saved(folder) if files]
    for key, files in found:
        used = datetime.fromtimestamp(max(file.used for file in files), UTC).astimezone()
        click.echo(f"{key.model}: {_summary(files)}, last used {used:%Y-%m-%d %H:%M} (context {key.context:,}, {key.engine})")
    click.echo(f"{_summary([file for _, files in found for file in files])} in {folder}")


def saved(folder: Path) -> list[tuple[CacheKey, list[StoredFile]]]:
    """What is saved for each model with its settings."""
    keys = ((read_key(path.parent), path.parent) for path in sorted(folder.glob("*/model.json")))
    return [(key, list(stored_files(subfolder))) for key, subfolder in keys if key is not None]


def _summary(files: list[StoredFile]) -> str:
    size = sum(file.size for file in files)
    return f"{len(files)} conversation{'' if len(files) == 1 else 's'}, {shown(size)}"

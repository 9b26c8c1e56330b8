"""`dragoman cache`: shows and removes the conversations whose KV cache is saved on disk."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from dragoman.engines.llama.cache_folder import CacheKey, StoredFile, clear, read_key, stored_files
from dragoman.models.resolve import cache_folder

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT]?)B?)", re.IGNORECASE)


class Size(click.ParamType[int]):
    """A number of bytes, such as `500MB` or `10GB`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number and its unit, a power of 1000."""
        found = _SIZE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a size such as 500MB or 10GB", param, ctx)
        return round(float(found[1]) * _UNITS[(found[2] or "").upper()])


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
    unit = next(unit for unit in ("T", "G", "M", "K", "") if size >= _UNITS[unit] or not unit)
    amount = f"{size / _UNITS[unit]:.1f}" if unit else str(size)
    return f"{len(files)} conversation{'' if len(files) == 1 else 's'}, {amount} {unit}B"

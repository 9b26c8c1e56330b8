"""Reads a TOML file whose tables are entries by their names."""

import tomllib
from collections.abc import Mapping
from pathlib import Path


class UnusableFile(ValueError):
    """The file cannot be used; the message is a sentence for the operator."""


def read_tables(file: Path) -> tuple[str, Mapping[str, object]]:
    """The text of a file, and its tables. Raises `UnusableFile`."""
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise UnusableFile(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnusableFile(f"{file} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UnusableFile(f"{file} is not TOML: {error}") from error

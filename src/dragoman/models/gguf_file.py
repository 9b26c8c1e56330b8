"""GGUF files from outside: what they are called, and how they begin."""

import re
from pathlib import Path
from typing import BinaryIO

from dragoman.models.gguf_header import HEADER, MAGIC, VERSIONS

SUFFIX = ".gguf"

PART = re.compile(r"-(?P<index>\d{5})-of-(?P<count>(?!00000)\d{5})$")
"""The end of the stem where a model is split into several files."""
QUANTISATION = re.compile(
    r"(?<=.)[._-](?P<name>(?:(?:UD|i1)-)?(?:I?Q[1-8](?:_[0-9A-Z]+)*|TQ[12]_0|(?:B?F|FP)(?:16|32)|(?:MX|NV)FP4(?:_MOE)?))$",
    re.IGNORECASE,
)
"""The end of the stem where it says how the weights were quantised."""


class UnusableModel(Exception):
    """What the user named cannot be served: one line that says why."""


def parts(file: str) -> list[str]:
    """Name all files of the model of which `file` is one, in order. Folders in front stay there."""
    stem = file.removesuffix(SUFFIX)
    split = PART.search(stem)
    if split is None:
        return [file]
    count = split["count"]
    return [f"{stem[: split.start()]}-{index:05}-of-{count}{SUFFIX}" for index in range(1, int(count) + 1)]


def model_name(stem: str) -> str:
    """What is left of a stem when it no longer says how the weights are stored."""
    return QUANTISATION.sub("", PART.sub("", stem))


def quantisation(stem: str) -> str | None:
    """How the weights are quantised, where the stem says so."""
    match = QUANTISATION.search(PART.sub("", stem))
    return match["name"] if match else None


def check(path: Path) -> None:
    """Refuse what is not a GGUF file. Whether all of its tensors are there is for the engine to say.

    Raises `UnusableModel`.
    """
    try:
        with path.open("rb") as file:
            _check_head(path, file)
    except FileNotFoundError:
        raise UnusableModel(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UnusableModel(f"{path} is a directory: name the {SUFFIX} file") from None
    except OSError as error:
        raise UnusableModel(f"{path} cannot be read: {error.strerror}") from None


def _check_head(path: Path, file: BinaryIO) -> None:
    head = file.read(HEADER.size)
    if not head:
        raise UnusableModel(f"{path} is empty")
    if not head.startswith(MAGIC):
        raise UnusableModel(f"{path} is not a GGUF file: it begins with {head[: len(MAGIC)]!r}")
    if len(head) < HEADER.size or not file.read(1):
        raise UnusableModel(f"{path} is cut off: nothing follows its header")
    _, version, _, _ = HEADER.unpack(head)
    if version not in VERSIONS:
        raise UnusableModel(f"{path} is GGUF version {version}: only versions 2 and 3 can be read")

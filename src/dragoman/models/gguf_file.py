"""The file names of GGUF models, and a check of their first bytes."""

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
"""The end of the stem where it names the quantisation of the weights."""


class UnusableModel(Exception):
    """Raised for a model that cannot be served; the message is one line for the user."""


def parts(file: str) -> list[str]:
    """The names of all files of the model to which `file` belongs, in order, with its folders."""
    stem = file.removesuffix(SUFFIX)
    split = PART.search(stem)
    if split is None:
        return [file]
    count = split["count"]
    return [f"{stem[: split.start()]}-{index:05}-of-{count}{SUFFIX}" for index in range(1, int(count) + 1)]


def model_name(stem: str) -> str:
    """The stem without the quantisation and the number of the part."""
    return QUANTISATION.sub("", PART.sub("", stem))


def quantisation(stem: str) -> str | None:
    """The quantisation of the weights, where the stem names it."""
    match = QUANTISATION.search(PART.sub("", stem))
    return match["name"] if match else None


def check(path: Path) -> None:
    """Check that the path is a GGUF file; its tensors are not checked.

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
        raise UnusableModel(f"{path} is truncated: nothing follows its header")
    _, version, _, _ = HEADER.unpack(head)
    if version not in VERSIONS:
        raise UnusableModel(f"{path} is GGUF version {version}: only versions 2 and 3 can be read")

"""The file names of GGUF models, and a check of their first bytes."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
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

COMPANION = re.compile(r"mmproj|imatrix$", re.IGNORECASE)
"""The stems of files that only accompany a model: image projectors, statistics of the quantiser."""
PROJECTOR = re.compile(r"mmproj", re.IGNORECASE)
_PRECISIONS = ("F16", "BF16", "Q8_0", "F32")
"""Those of image projectors, the preferred first: they are small, and lose more by quantisation than a model."""


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


def is_model(file: PurePosixPath) -> bool:
    """Whether the name is that of a model; of a split one, of its first part."""
    split = PART.search(file.stem)
    is_later_part = split is not None and int(split["index"]) > 1
    return file.suffix == SUFFIX and not is_later_part and not COMPANION.search(file.stem)


def model_name(stem: str) -> str:
    """The stem without the quantisation and the number of the part."""
    return QUANTISATION.sub("", PART.sub("", stem))


def quantisation(stem: str) -> str | None:
    """The quantisation of the weights, where the stem names it."""
    match = QUANTISATION.search(PART.sub("", stem))
    return match["name"] if match else None


def projector(files: Sequence[str]) -> str | None:
    """The image projector among the names of files, None where there is none; of several, the one with the usual precision."""
    found = [file for file in files if file.endswith(SUFFIX) and PROJECTOR.search(PurePosixPath(file).stem)]

    def rank(file: str) -> tuple[int, str]:
        precision = (quantisation(PurePosixPath(file).stem) or _PRECISIONS[-1]).upper()
        return (_PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS), file)

    return min(found, key=rank, default=None)


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

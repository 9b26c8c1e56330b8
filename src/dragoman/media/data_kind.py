"""Finds out from its bytes what a file is: clients often declare another media type."""

from enum import Enum
from typing import Final

_PDF_HEADER_WITHIN: Final = 1024
"""Bytes in which readers look for the header of a PDF."""


class DataKind(Enum):
    """What bytes are."""

    PDF = "a PDF"
    TEXT = "text"
    OTHER = "an image or something else"


def kind_of(data: bytes) -> DataKind:
    """The kind of these bytes. What is neither a PDF nor text may be an image: decoding it shows."""
    if b"%PDF-" in data[:_PDF_HEADER_WITHIN]:
        return DataKind.PDF
    if b"\0" in data:
        return DataKind.OTHER
    try:
        data.decode()
    except UnicodeDecodeError:
        return DataKind.OTHER
    return DataKind.TEXT

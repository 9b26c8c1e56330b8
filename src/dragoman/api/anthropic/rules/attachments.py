"""Images, documents and search results: where they may come from, and what cannot be had together with them."""

from dragoman.api.anthropic.base import rejected
from dragoman.api.anthropic.blocks import CitableBlock, FileSource, needs_eyes
from dragoman.api.anthropic.request import PromptRequest
from dragoman.errors import InvalidRequest


def check_attachments(request: PromptRequest) -> None:
    """FIL-4, STR-7."""
    for path, block in request.attachments():
        if isinstance(block.source, FileSource):
            reason = f"File `{block.source.file_id}` not found. This server keeps no files: send the data itself."
            raise InvalidRequest.at(f"{path}.source.file_id", reason + rejected(block.type))
        if request.format and isinstance(block, CitableBlock) and block.wants_citations:
            raise InvalidRequest.at(f"{path}.citations", "citations cannot be combined with an output format")


def check_strict_input(request: PromptRequest) -> None:
    """Refuse what only a model with eyes could read, with the token by which a client goes on without it (IN-4, CC-8)."""
    for path, block in request.attachments():
        if needs_eyes(block):
            raise InvalidRequest.at(path, f"this model cannot see {block.type} blocks{rejected(block.type)}")

"""Rules for images, documents and search results: their sources, and fields that exclude them."""

from dragoman.api.anthropic.blocks import CitableBlock, FileSource
from dragoman.api.anthropic.request import PromptRequest
from dragoman.api.base import capability_rejected
from dragoman.errors import InvalidRequest


def check_attachments(request: PromptRequest) -> None:
    """Refuse uploaded files, and citations together with an output format (FIL-4, STR-7)."""
    for path, block in request.attachments():
        if isinstance(block.source, FileSource):
            reason = f"File `{block.source.file_id}` not found. This server keeps no files: send the data itself."
            raise InvalidRequest.at(f"{path}.source.file_id", reason + capability_rejected(block.type))
        if request.format and isinstance(block, CitableBlock) and block.wants_citations:
            raise InvalidRequest.at(f"{path}.citations", "citations cannot be combined with an output format")

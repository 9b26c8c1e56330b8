"""Finds the summary that takes the place of the beginning of a conversation: its last `compaction` block with content."""

from typing import NamedTuple

from dragoman.api.anthropic.blocks import CompactionBlock
from dragoman.api.anthropic.request import PromptRequest


class Summary(NamedTuple):
    """A summary, and its place: the indices of its message and of its block there."""

    content: str
    message: int
    block: int


def summary_of(request: PromptRequest) -> Summary | None:
    """The last summary of a request; None if there is none."""
    for index in range(len(request.messages) - 1, -1, -1):
        if CompactionBlock not in request.messages[index].types:
            continue
        for place in range(len(request.messages[index].blocks) - 1, -1, -1):
            block = request.messages[index].blocks[place]
            if type(block) is CompactionBlock and block.content:
                return Summary(block.content, index, place)
    return None

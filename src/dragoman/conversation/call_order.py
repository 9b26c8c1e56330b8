"""The order of results in a turn."""

from collections.abc import Mapping, Sequence

from dragoman.conversation.types import Content, ToolResult


def in_call_order(content: Sequence[Content], places: Mapping[str, int]) -> Sequence[Content]:
    """Sort results by the order of their calls: where a template has no ids, only the order links a result to its call.

    `places` are the positions of the calls by their ids.
    """
    results = [part for part in content if isinstance(part, ToolResult)]
    if len(results) < 2:
        return tuple(content)
    in_order = iter(sorted(results, key=lambda result: places.get(result.call_id, 0)))
    return tuple(next(in_order) if isinstance(part, ToolResult) else part for part in content)

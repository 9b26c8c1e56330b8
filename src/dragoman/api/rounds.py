"""The turns of an answer of several rounds: between the rounds, the results of server tools are a turn of the user."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from dragoman.conversation.types import Attachment, Content, Role, ToolCall, ToolResult, Turn
from dragoman.parts.server_tools import ServerToolKind, ToolFailure, is_own_call_id

_LOST = ToolFailure(ServerToolKind.WEB_SEARCH, "unavailable")
"""The result of a call whose result the client does not send back."""


def split(turn: Turn, calls: Collection[str]) -> Iterator[Turn]:
    """The turns of an answer that contains results. `calls` are the ids of server tools. Other turns are as they were."""
    if not calls:
        yield turn
        return
    if turn.role is not Role.ASSISTANT:
        yield from _with_results(turn.role, turn.content, (), calls)
        return
    said: list[Content] = []
    results: list[ToolResult] = []
    for part in turn.content:
        if isinstance(part, ToolResult):
            results.append(part)
            continue
        if results:
            yield from _with_results(turn.role, said, results, calls)
            said, results = [], []
        said.append(part)
    yield from _with_results(turn.role, said, results, calls)


def _with_results(role: Role, said: Sequence[Content], results: Sequence[ToolResult], calls: Collection[str]) -> Iterator[Turn]:
    """A turn, and one with the results of its calls; each of our own calls has one, also if the client left it out."""
    yield Turn(role, tuple(said))
    answered = {result.call_id for result in results}
    lost = [
        ToolResult.of_text(part.id, part.name, _LOST.text, is_error=True)
        for part in said
        if isinstance(part, ToolCall) and part.id in calls and part.id not in answered
    ]
    if results or lost:
        yield Turn(Role.USER, (*results, *lost))


def merged(turns: Iterable[Turn]) -> Iterator[Turn]:
    """The turns, in which none is next to another one of its role (REQ-6)."""
    last: Turn | None = None
    for turn in turns:
        if last is not None and last.role is turn.role:
            last = Turn(last.role, (*last.content, *turn.content))
            continue
        if last is not None:
            yield last
        last = turn
    if last is not None:
        yield last


def pages_in(turns: Iterable[Turn]) -> int:
    """The number of attachments in the results of this server's own tools: pages that they found or fetched."""
    parts = (part for turn in turns for part in turn.content)
    results = (part for part in parts if isinstance(part, ToolResult) and is_own_call_id(part.call_id))
    return sum(isinstance(inner, Attachment) for result in results for inner in result.content)

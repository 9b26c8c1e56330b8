"""What a request holds, by kind of block: the first thing one wants to know of a prompt that is too long or too slow."""

from collections.abc import Iterable, Iterator, Mapping

from dragoman.observe.entry import Volume
from dragoman.wire.base import WireModel
from dragoman.wire.blocks import TextBlock, ThinkingBlock, ToolResultBlock
from dragoman.wire.request import PromptRequest


def census(request: PromptRequest) -> Mapping[str, Volume]:
    """Blocks and their characters by kind, in the order in which the kinds were met.

    `system` are the blocks at the top and the system messages anywhere, `tools` the declarations, all else goes by the type of
    the block. A result counts its text; what else it holds counts under its own type. What is not text is as long as its JSON.
    """
    found: dict[str, Volume] = {}
    for kind, characters in _content(request):
        found[kind] = found.get(kind, Volume(0, 0)) + Volume(1, characters)
    return found


def _content(request: PromptRequest) -> Iterator[tuple[str, int]]:
    yield from (("system", len(text)) for text in _texts(request.system))
    yield from (("tools", _size(tool)) for tool in request.tools or ())
    for message in request.messages:
        if message.role == "system":
            yield from (("system", size) for _, size in _blocks(message.content))
        else:
            yield from _blocks(message.content)


def _texts(content: str | Iterable[TextBlock] | None) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    else:
        yield from (block.text for block in content or ())


def _blocks(content: str | Iterable[WireModel] | None) -> Iterator[tuple[str, int]]:
    if isinstance(content, str):
        yield "text", len(content)
        return
    for block in content or ():
        match block:
            case TextBlock(text=text):
                yield "text", len(text)
            case ThinkingBlock(thinking=text):
                yield "thinking", len(text)
            case ToolResultBlock(content=inner):
                within = list(_blocks(inner))
                yield "tool_result", sum(size for kind, size in within if kind == "text")
                yield from (found for found in within if found[0] != "text")
            case _:
                yield getattr(block, "type", "other"), _size(block)


def _size(model: WireModel) -> int:
    return len(model.model_dump_json(exclude_unset=True))

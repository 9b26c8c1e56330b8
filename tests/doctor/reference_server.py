"""The engine of the reference server, on which all checks pass: it replays a suitable answer for each check."""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from conftest import MODEL
from dragoman.conversation import Image
from dragoman.conversation.spans import is_text_token
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.base import Capabilities, PrefillProgress
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server_tools import SearchSettings, ServerToolSettings

TALE = (
    "Once upon a time a lighthouse stood on a rock by the sea, and the keeper lit it each evening when the gulls came home. "
    * 4
)


def _call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


SCRIPT = (
    Line('{"even": true, "sum": 42}', when="even? Answer as JSON"),
    Line('{"kind": "oak", "of": "tree", "age": null}', when="oak as JSON"),
    Line("43.", when="And one more?"),
    Line("42.", when="25?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>"),  # how the template disables thinking
    Line("<think>\nThey make 42.\n</think>\n\n42.", when="What is 17 + 25?"),
    Line("A ticket costs 3 euros.[^2]", when="Quote what a ticket costs."),
    Line(TALE, when="<tool_response>"),
    Line(_call("get_weather", '{"place": "Ulm", "days": 1}'), when="Use get_weather."),
    Line(_call("get_time", '{"place": "Bonn"}'), when="Use get_time."),
    Line(_call("order", '{"count": 2, "kinds": ["oak"], "to": {"town": "Ulm"}, "express": false}'), when="Use order."),
    Line(_call("note", '{"text": "' + TALE + '"}'), when="Write a long note."),
    Line(_call("tool_search_tool_bm25", '{"query": "weather"}'), when="Use tool_search_tool_bm25."),
    Line(_call("web_search", '{"query": "Danube"}'), when="Use web_search."),
    Line(_call("web_fetch", '{"url": "https://example.com/other"}'), when="Use web_fetch."),
    Line(_call("doctor__departure", "{}"), when="Use departure."),
    Line(_call("say", '{"input": "yes"}'), when="Use say."),
    Line(TALE),
)


TOOLS = ServerToolSettings(
    search=SearchSettings.of(f"command:{sys.executable} -c 'print([])'", ""), fetch=True, mcp_hosts=frozenset({"127.0.0.1"})
)
"""A web search that finds nothing, MCP servers of this machine, and pages, of which the model calls none that it may read."""


class ReferenceEngine(ScriptedEngine):
    """Replays the script, and reports which part of a prompt it has read before as cached. It sees images."""

    def __init__(self, *, window: int = 4_000, slots: int = 64) -> None:
        super().__init__(SCRIPT, model=MODEL, window=window, slots=slots)
        self._read: list[Sequence[int]] = []

    async def start(self) -> Capabilities:
        return replace(await super().start(), images=True)

    async def image_length(self, image: Image) -> int:
        return 4

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        cached = min(max((_shared(prompt, request.tokens) for prompt in self._read), default=0), len(request.tokens) - 1)
        self._read.append(request.tokens)
        progress = PrefillProgress(total=len(request.tokens), cached=cached, done=len(request.tokens))
        words = [token for token in request.tokens if is_text_token(token)]
        async with aclosing(super().generate(replace(request, tokens=words))) as chunks:
            async for chunk in chunks:
                yield replace(chunk, prefill=progress) if chunk.prefill else chunk


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next((number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

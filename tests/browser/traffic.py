"""A server with the traffic of a coding agent, for the tests of the page in a browser and for its pictures in the docs."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from conftest import live_server, user
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.observability.recent import Inspect
from server.http import Answer, post

MODEL = "qwen3-coder-30b"
THOUGHT = "The user wants the tests to pass. I should read the failing test first."
CALL = '<tool_call>\n{"name": "Read", "arguments": {"file_path": "/src/app/tests/test_parser.py"}}\n</tool_call>'
WEATHER = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script><b>bold</b>"
LINES = [
    Line("I see an image.", when="And this?"),
    Line("A failing parser test", when="Write a title"),
    Line(f"<think>\n{THOUGHT}\n</think>\n\nI will read the failing test.\n{CALL}", when="tests fail", delay_ms=2),
    Line("It is sunny in Paris.", when="sunny, 21 degrees"),
    Line(f"<think>\nI need the tool.\n</think>\n\nLet me look.\n{WEATHER}", when="weather in Paris", delay_ms=1),
    Line(f"It wrote {HOSTILE}", when="hostile"),
    Line("Slow " * 400, when="slowly", delay_ms=20),
    Line("Hello."),
]
TOOLS = [
    {
        "name": name,
        "description": f"{name} a file of the project. " * 8,
        "input_schema": {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]},
    }
    for name in ("Read", "Write", "Edit", "Grep")
]
RULES = "You are a coding agent.\n" + "".join(f"Rule {number} of the project is to be followed.\n" for number in range(1, 60))
AGENT = {"user_agent": "claude-cli/2.1.330 (external, cli)", "x_claude_code_session_id": "b1946ac9-77c0"}


def chromium() -> str:
    """The Chromium of the system."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "install Chromium, for example with apt-get install chromium"
    return found


class CachingEngine(ScriptedEngine):
    """Reports as cached what a prompt has in common with an earlier one; a new token takes `prefill_ms`."""

    def __init__(self, prefill_ms: float = 0) -> None:
        super().__init__(LINES, model=MODEL, window=131_072, slots=4)
        self._prefill_s = prefill_ms / 1000
        self._seen: list[Sequence[int]] = []

    @property
    def conversations(self) -> int:
        return len(self._seen)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        cached = max((_common(request.tokens, seen) for seen in self._seen), default=0)
        self._seen.append(request.tokens)
        await asyncio.sleep(self._prefill_s * (len(request.tokens) - cached))
        async for chunk in super().generate(request):
            yield replace(chunk, prefill=replace(chunk.prefill, cached=cached)) if chunk.prefill else chunk


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )


@contextmanager
def serving(prefill_ms: float = 0, **settings: Any) -> Iterator[str]:
    """A server that keeps the content of its requests."""
    with live_server(CachingEngine(prefill_ms), inspect=Inspect.FULL, **settings) as url:
        yield url


def coding(url: str, *changed: str, **headers: str) -> Answer:
    """A turn of a coding agent; `changed` are files in the system prompt, which change between turns."""
    status = "\n".join(("gitStatus: branch main", "M src/app/parser.py", *(f"M {file}" for file in changed)))
    system = [{"type": "text", "text": RULES}, {"type": "text", "text": status, "cache_control": {"type": "ephemeral"}}]
    messages = [user("The tests fail in the parser. Fix it.")]
    fields = {"system": system, "tools": TOOLS, "thinking": {"type": "adaptive"}, "messages": messages, "stream": True}
    return post(url, {"model": "claude-sonnet-4-5", "max_tokens": 32_000, **fields}, **{**AGENT, **headers})


def traffic(url: str) -> None:
    """The requests of a short session: a title, a turn, a turn whose prompt broke, one that is refused."""
    post(url, {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [user("Write a title for this")]}, **AGENT)
    coding(url)
    coding(url, "src/app/tests/test_parser.py")
    post(url, {"model": "gpt-5", "max_tokens": 9, "temperature": 9, "messages": [user("Hi")]}, user_agent="OpenAI/Python 3.1")

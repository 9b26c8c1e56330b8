"""Forces a very small model to call tools of the server: each call runs, and the model goes on with what was found.

Without DRAGOMAN_TESTS=thorough it is 4 calls, otherwise 200. The search server is on loopback, and no page is reached.
The calls are made one after the other: of several at once, a short prompt may be read again by another slot, since that is
faster than to wait for the slot that has it, and then the next round reuses nothing.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from conftest import live_registry, registry_of
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve
from dragoman.server_tools import SearchSettings, ServerToolSettings
from search_server import search_server

CALLS = 200 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 4
TOPICS = ["tides in Ulm", "the moon", "a recipe for bread", "trains to Paris", "Ada Lovelace", "rain tomorrow", "x", "41 + 1?"]
WEATHER = {"name": "get_weather", "defer_loading": True, "input_schema": {"type": "object", "properties": {}}}
TOOLS: list[list[dict[str, Any]]] = [
    [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    [{"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}, WEATHER],
    [{"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1}],
    [{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}, WEATHER],
]
ENDINGS = {"end_turn", "max_tokens", "pause_turn", "stop_sequence", "tool_use"}
MAX_TOKENS = 1_200
"""A model of this size may fill a text to the longest that the tool takes, with characters of several tokens each."""

_LOG = logging.getLogger(__name__)


@pytest.fixture
def url() -> Iterator[str]:
    engine = EmbeddedLlama(resolve(None).path, context=2048, parallel=1, threads=1)
    with search_server() as search:
        settings = ServerToolSettings(search=SearchSettings.of(f"searxng:{search.url}", ""), fetch=True)
        with live_registry(registry_of(engine, id="default", server_tools=settings)) as served:
            yield served


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.clause("TOOL-5", "TOOL-15", "USE-3", "CACHE-4")
async def test_all_forced_calls_run_and_the_next_round_reuses_the_prompt(url: str) -> None:
    async def ask(number: int) -> tuple[str, str]:
        """The name of the tool, and the error code of its result, or that there is none."""
        tools: Any = TOOLS[number % len(TOOLS)]
        name = tools[0]["name"]
        topic = TOPICS[number // len(TOOLS) % len(TOPICS)]
        question: Any = [{"role": "user", "content": f"Question {number}: tell me about {topic}"}]
        prompt = await client.messages.count_tokens(model="claude-local", tools=tools, messages=question)
        message = await client.messages.create(
            model="claude-local",
            max_tokens=MAX_TOKENS,
            stop_sequences=[".", ","],  # the answer, in a later round, need not be long
            tools=tools,
            tool_choice={"type": "tool", "name": name},
            messages=question,
            extra_body={"temperature": 0},
        )
        call, result = message.content[:2]
        assert call.type == "server_tool_use", message
        assert call.name == name
        assert message.stop_reason in ENDINGS
        calls = [block for block in message.content if block.type == "server_tool_use"]
        assert sum(block.type.endswith("_tool_result") for block in message.content) == len(calls)
        usage: Any = message.usage
        if message.content[-1].type == "text":  # there was a second round
            assert usage.cache_read_input_tokens >= 0.95 * prompt.input_tokens, message
        outcome = getattr(getattr(result, "content", None), "error_code", None) or "found"
        _LOG.info("%s %s: %s, %d tokens", name, call.input, outcome, usage.output_tokens)
        return name, outcome

    async with anthropic.AsyncAnthropic(
        base_url=url, api_key="x", max_retries=0, timeout=600, _strict_response_validation=True
    ) as client:
        outcomes = Counter([await ask(number) for number in range(CALLS)])
    _LOG.info("%s", sorted(outcomes.items()))
    assert not [outcome for outcome in outcomes if outcome[1] == "invalid_tool_input"], outcomes
    assert outcomes["web_search", "found"] >= 0.8 * CALLS / len(TOOLS)

"""A llama-server that was built without llguidance, and ends when it gets one of its grammars."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from clients.conftest import sdk
from conftest import live_server
from dragoman.engines.llama.server import LlamaServer
from engines.remote.fake_engine import ReceivedRequest
from engines.remote.fake_engines import LlamaUpstream

WEATHER = {"name": "weather", "description": "The weather.", "input_schema": {"type": "object", "properties": {}}}


class WithoutLlguidance(LlamaUpstream):
    """The server: it makes its own grammars of schemas."""

    grammar_of_schemas = "root ::= x"


@pytest.fixture
def upstream(folder: Path) -> Iterator[Any]:
    running = WithoutLlguidance(folder)
    running.start_upstream()
    yield running
    running.stop_upstream()


@pytest.fixture
def client(upstream: Any) -> Iterator[Anthropic]:
    with live_server(LlamaServer(upstream.url), id="m") as url, sdk(url) as client:
        yield client


async def test_it_is_found_without_being_sent_such_a_grammar(upstream: Any) -> None:
    engine = LlamaServer(upstream.url)
    assert not (await engine.start()).constrains
    await engine.close()
    assert upstream.received
    assert all("llguidance" not in received.constraint for received in upstream.received)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_forced_call_is_started_in_the_prompt(client: Anthropic, upstream: Any, *, streamed: bool) -> None:
    upstream.says("{}", "}\n</tool_call>")
    asked = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}], "tools": [WEATHER]}
    forced = {**asked, "tool_choice": {"type": "any"}}
    if streamed:
        with client.messages.stream(**forced) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**forced)
    assert message.content[-1].type == "tool_use"
    last: ReceivedRequest = upstream.received[-1]
    assert last.constraint == ""

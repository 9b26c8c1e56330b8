"""A llama-server that was built without llguidance, and ends when it gets one of its grammars."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman.engines.llama.server import LlamaServer
from engines.remote.fake_engines import LlamaGbnfUpstream


@pytest.fixture
def upstream(folder: Path) -> Iterator[Any]:
    running = LlamaGbnfUpstream(folder)
    running.start_upstream()
    yield running
    running.stop_upstream()


async def test_it_is_found_without_being_sent_such_a_grammar(upstream: Any) -> None:
    engine = LlamaServer(upstream.url)
    found = await engine.start()
    await engine.close()
    assert found.constrains
    assert "checked, not enforced" in found.found["missing"]
    assert upstream.received
    assert all("llguidance" not in received.constraint for received in upstream.received)

"""Every field of a request is sent to every engine, or refused by name, or logged as ignored."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import MODEL, live_server, user
from controllable_engine import until
from dragoman import dialects
from dragoman.engines import EngineKind
from dragoman.engines.image_files import data_url
from dragoman.server.models.feasibility import SUPPORT, Support
from engines.remote.engine_cases import ENGINE_CASES, EngineCase
from engines.remote.fake_engines import ADAPTER
from server.http import Answer, post
from vision_model import RED

KINDS = {
    "scripted": EngineKind.SCRIPTED,
    "llama-server": EngineKind.LLAMA_SERVER,
    "vllm": EngineKind.VLLM,
    "vllm, guidance": EngineKind.VLLM,
    "sglang": EngineKind.SGLANG,
    "sglang, deltas": EngineKind.SGLANG,
    "lmdeploy": EngineKind.LMDEPLOY,
    "lmdeploy, generate": EngineKind.LMDEPLOY_GENERATE,
}
VALUES: dict[str, Any] = {
    "temperature": 0.25,
    "top_p": 0.75,
    "top_k": 9,
    "min_p": 0.125,
    "seed": 11,
    "repetition_penalty": 1.5,
    "presence_penalty": -0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 2.5, "7": -100},
    "max_tokens": 4,
}
NAMES = {
    EngineKind.LLAMA_SERVER: {"repetition_penalty": "repeat_penalty", "max_tokens": "n_predict"},
    EngineKind.VLLM: {},
    EngineKind.SGLANG: {"seed": "sampling_seed", "max_tokens": "max_new_tokens"},
    EngineKind.LMDEPLOY: {"max_tokens": "max_completion_tokens"},
    EngineKind.LMDEPLOY_GENERATE: {},
}
"""The engines' own names of fields, where they differ."""


class Server:
    """Dragoman with one engine and its fake upstream."""

    def __init__(self, case: EngineCase, url: str, upstream: Any, log: pytest.LogCaptureFixture) -> None:
        self.kind, self.url, self.upstream, self.log = KINDS[case.name], url, upstream, log

    def chat(self, **fields: Any) -> Answer:
        asked = {"model": MODEL, "messages": [user("Hi")], **fields}
        return post(self.url, asked, "/v1/chat/completions")

    def complete(self, **fields: Any) -> Answer:
        return post(self.url, {"model": MODEL, "prompt": "Hi", **fields}, "/v1/completions")

    def notes(self) -> bool:
        return any("ignored by the engine" in line for line in self.log.messages)


@pytest.fixture(scope="module", params=ENGINE_CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> EngineCase:
    """An engine with a stand-in: the real servers are sent the same."""
    case: EngineCase = request.param
    return case


@pytest.fixture(scope="module")
def url(case: EngineCase, running: Any) -> Iterator[str]:
    with live_server(case.connect(running), id=MODEL, dialect=dialects.get("qwen3")) as url:
        yield url


@pytest.fixture
def server(case: EngineCase, url: str, running: Any, caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    running.reset()
    caplog.set_level(logging.INFO, "dragoman.request")
    yield Server(case, url, running, caplog)
    running.reset()


@pytest.mark.parametrize("endpoint", ["chat", "complete"])
@pytest.mark.parametrize("field", VALUES)
def test_a_sampling_field_is_honoured_or_refused_or_logged(server: Server, field: str, endpoint: str) -> None:
    answer = getattr(server, endpoint)(**{field: VALUES[field]})
    match SUPPORT[field][server.kind]:
        case Support.REFUSED:
            assert (answer.status, answer.json["error"]["param"]) == (400, field)
            assert server.upstream.received == []
        case Support.NOTED:
            assert answer.status == 200
            until(server.notes)
            assert f"ignored by the engine: {field}" in server.log.text
        case Support.HONOURED if server.kind is EngineKind.SCRIPTED:
            assert answer.json["usage"]["completion_tokens"] <= VALUES["max_tokens"]
        case _:
            assert answer.status == 200
            sent = server.upstream.received[-1].body
            name = NAMES[server.kind].get(field, field)
            found = sent.get("sampling_params", sent)[name]
            pairs = field == "logit_bias" and server.kind is EngineKind.LLAMA_SERVER
            assert ({str(token): bias for token, bias in found} if pairs else found) == VALUES[field]
            assert "ignored" not in server.log.text


def test_neutral_values_are_accepted_everywhere(server: Server) -> None:
    assert server.chat(logit_bias={}).status == 200
    assert server.chat(presence_penalty=0, frequency_penalty=0.0, min_p=0, repetition_penalty=1).status == 200
    assert "ignored" not in server.log.text


def test_stop_sequences_are_honoured_everywhere(server: Server) -> None:
    assert SUPPORT["stop"][server.kind] is Support.OWN
    assert server.chat(stop=["the"]).json["choices"][0]["message"]["content"] == "Hello "


def test_affinity_is_sent_or_logged(server: Server) -> None:
    assert server.chat(user="somebody").status == 200
    if SUPPORT["affinity"][server.kind] is Support.NOTED:
        until(server.notes)
    else:
        assert server.upstream.headers[-1]["x-session-id"]


def test_an_adapter_is_sent_or_is_an_unknown_model(server: Server) -> None:
    answer = server.chat(model=ADAPTER)
    if SUPPORT["adapter"][server.kind] is Support.REFUSED:
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
    else:
        sent = server.upstream.received[-1].body
        assert ADAPTER in (sent.get("model"), sent.get("lora_path"))


def test_an_image_becomes_text_where_none_can_be_sent(server: Server) -> None:
    """The fakes see none, so it is the same where a probe decides; other tests have engines that see."""
    url = data_url(RED)
    answer = server.chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    assert answer.status == 200
    assert SUPPORT["images"][server.kind] in (Support.AS_TEXT, Support.PROBED)
    assert server.kind is EngineKind.SCRIPTED or url.partition(",")[2] not in str(server.upstream.received[-1].body)


def test_an_output_format_is_sent_or_refused(server: Server) -> None:
    server.upstream.says('{"a": 1}')
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    answer = server.chat(
        reasoning_effort="none", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    )
    if SUPPORT["constraint"][server.kind] is Support.REFUSED:
        assert answer.status == 400
    else:
        assert answer.status == 200
        assert server.kind is EngineKind.SCRIPTED or server.upstream.received[-1].constraint


def test_a_token_id_outside_the_vocabulary_is_refused(server: Server) -> None:
    """Where an engine does not report its vocabulary size, ids of more than 32 bits are refused."""
    for place, ids in enumerate([[2**31], [1, -1], [1, 1, 2**63], [1, 1, 1, 10**30]]):
        answer = server.complete(prompt=ids)
        assert (answer.status, answer.json["error"]["param"]) == (400, f"prompt.{place}")
    assert server.complete(prompt=[1, 2]).status == 200
    known = server.kind is not EngineKind.LLAMA_SERVER  # its fake does not report the size
    assert server.complete(prompt=[10**6]).status == (400 if known else 200)


def test_every_field_has_an_entry_for_every_engine() -> None:
    assert {case.name for case in ENGINE_CASES} == set(KINDS)
    assert all(set(row) == set(EngineKind) for row in SUPPORT.values())


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "engines.md").read_text(encoding="utf-8")
    kinds = [kind for kind in EngineKind if kind is not EngineKind.OTHER]
    assert f"| | {' | '.join(kinds)} |" in page
    for field, row in SUPPORT.items():
        assert f"| `{field}` | {' | '.join(row[kind] for kind in kinds)} |" in page

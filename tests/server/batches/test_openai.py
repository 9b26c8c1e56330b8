"""`/v1/batches`, used through OpenAI's SDK."""

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from conftest import MODEL
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.storage.batches import rows

CHAT = "/v1/chat/completions"


@pytest.fixture
def sdk(engine: ControllableEngine) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{engine.url}/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


def uploaded(sdk: OpenAI, *bodies: dict[str, Any], url: str = CHAT, purpose: Any = "batch", end: bytes = b"\n") -> str:
    lines = [{"custom_id": f"r{number}", "method": "POST", "url": url, "body": body} for number, body in enumerate(bodies)]
    return sdk.files.create(
        file=("in.jsonl", b"\n".join(json.dumps(line).encode() for line in lines) + end), purpose=purpose
    ).id


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def made(sdk: OpenAI, file: str, endpoint: Any = CHAT, **fields: Any) -> Any:
    return sdk.batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h", **fields)


def ended(sdk: OpenAI, batch: Any) -> Any:
    until(lambda: sdk.batches.retrieve(batch.id).status in ("completed", "cancelled", "failed", "expired"), pause=0.02)
    return sdk.batches.retrieve(batch.id)


def lines_of(sdk: OpenAI, file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    lines = [json.loads(line) for line in sdk.files.content(file).text.splitlines()]
    return {line["custom_id"]: line for line in lines}


def test_results_go_to_files(sdk: OpenAI, engine: ControllableEngine) -> None:
    engine.says("It rains.")
    file = uploaded(sdk, chat("One?"), chat("Two?", stream=True), chat("Three?", messages=[]))
    expiry: Any = {"anchor": "created_at", "seconds": 3600}
    batch = made(sdk, file, metadata={"a": "b"}, output_expires_after=expiry)
    assert (batch.object, batch.endpoint, batch.input_file_id, batch.metadata) == ("batch", CHAT, file, {"a": "b"})
    done = ended(sdk, batch)
    assert (done.status, done.request_counts.to_dict()) == ("completed", {"total": 3, "completed": 1, "failed": 2})
    (line,) = lines_of(sdk, done.output_file_id).values()
    assert (line["custom_id"], line["error"], line["response"]["status_code"]) == ("r0", None, 200)
    assert line["response"]["body"]["choices"][0]["message"]["content"] == "It rains."
    errors = lines_of(sdk, done.error_file_id)
    assert {name: line["response"]["status_code"] for name, line in errors.items()} == {"r1": 400, "r2": 400}
    assert errors["r1"]["response"]["body"]["error"]["message"] == "stream: true is not allowed in a request of a batch"
    output = sdk.files.retrieve(done.output_file_id)
    assert (output.purpose, output.expires_at is not None) == ("batch_output", True)
    assert batch.id in [each.id for each in sdk.batches.list(limit=1)]
    with Anthropic(base_url=engine.url, api_key="any", max_retries=0) as other:  # the files are the same in both APIs
        assert other.files.retrieve_metadata(done.output_file_id).downloadable
        assert other.files.download(done.output_file_id).read() == sdk.files.content(done.output_file_id).content
        assert batch.id not in [each.id for each in other.messages.batches.list()]


@pytest.mark.parametrize(
    ("endpoint", "body", "kind"),
    [
        ("/v1/responses", {"model": MODEL, "input": "Hi"}, "response"),
        ("/v1/completions", {"model": MODEL, "prompt": "Hi"}, "text_completion"),
    ],
)
def test_other_endpoints_have_batches(sdk: OpenAI, endpoint: str, body: dict[str, Any], kind: str) -> None:
    done = ended(sdk, made(sdk, uploaded(sdk, body, url=endpoint), endpoint))
    (line,) = lines_of(sdk, done.output_file_id).values()
    assert line["response"]["body"]["object"] == kind


def test_a_cancelled_batch_has_what_was_answered(sdk: OpenAI, engine: ControllableEngine) -> None:
    engine.hold(FIRST_TOKEN)
    batch = made(sdk, uploaded(sdk, *(chat(f"{number}?") for number in range(100))))
    until(lambda: engine.waiting > 0)
    assert sdk.batches.cancel(batch.id).status == "cancelling"
    engine.release()
    done = ended(sdk, batch)
    assert done.status == "cancelled"
    output, errors = lines_of(sdk, done.output_file_id), lines_of(sdk, done.error_file_id)
    assert len(output) + len(errors) == 100
    assert {line["error"]["code"] for line in errors.values()} == {"batch_cancelled"}


def test_what_is_not_answered_in_time_is_an_error(
    sdk: OpenAI, engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BATCH_S", 0.5)
    engine.hold(FIRST_TOKEN)
    batch = made(sdk, uploaded(sdk, *(chat(f"{number}?") for number in range(100))))
    until(lambda: engine.waiting > 0 and time.time() > batch.created_at + 1.5)  # it is in whole seconds
    engine.release()
    done = ended(sdk, batch)
    assert (done.status, done.expired_at is not None) == ("expired", True)
    output, errors = lines_of(sdk, done.output_file_id), lines_of(sdk, done.error_file_id)
    assert len(output) + len(errors) == 100
    assert {line["error"]["code"] for line in errors.values()} == {"batch_expired"}


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"{}\n", 1, "custom_id"),
        (b"\n\nx\n", 3, "line 3"),
        (b"\n", None, "the input file has no requests"),
        (b'{"custom_id": "a", "url": "/v1/embeddings", "body": {}}', 1, "it should be a POST to /v1/chat/completions"),
        (b'{"custom_id": "a", "url": "/v1/chat/completions", "body": {}}\n' * 2, 2, "is used twice"),
    ],
)
def test_a_batch_with_a_wrong_file_fails(sdk: OpenAI, content: bytes, line: int | None, message: str) -> None:
    batch = made(sdk, sdk.files.create(file=("in.jsonl", content), purpose="batch").id)
    assert batch.status == "failed"
    (error,) = batch.errors.data
    assert message in error.message
    assert error.line == line


def test_a_wrong_batch_is_refused_by_name(sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="not found"):
        made(sdk, "file_0")
    with pytest.raises(openai.BadRequestError, match="the purpose of"):
        made(sdk, uploaded(sdk, chat("a"), purpose="user_data"))
    with pytest.raises(openai.BadRequestError, match="endpoint: Input should be one of"):
        made(sdk, "file_0", "/v1/embeddings")
    with pytest.raises(openai.NotFoundError, match="there is no batch"):
        sdk.batches.retrieve("batch_0")

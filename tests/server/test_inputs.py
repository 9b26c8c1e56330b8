"""Documents, search results, images and tools without a schema, on a live server."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from conftest import Serve, body, user
from controllable_engine import ControllableEngine, until
from media.pdf_files import text_pdf
from media.pictures import in_base64
from server.http import count, post
from server.test_count import TOOL

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}


def paper(data: bytes) -> dict[str, Any]:
    """A document block of a PDF."""
    source = {"type": "base64", "media_type": "application/pdf", "data": in_base64(data)}
    return {"type": "document", "title": "Paper", "source": source}


NOT_PUBLIC = "leads to an address that is not public. (capability_rejected: document_block)"
NOT_VALID = "The PDF specified was not valid. (capability_rejected: document_block)"
PAPER, BROKEN = paper(text_pdf(b"It snows.")), paper(b"%PDF-1")
NOTES = {"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "It rains."}}
FOUND = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "It rains."}]}
BASH = {"type": "bash_20250124", "name": "bash"}
LOOK = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "shot"}}
SHOT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "done"}, PICTURE]}
TALK = [
    user("Look."),
    {"role": "assistant", "content": [LOOK]},
    {"role": "user", "content": [SHOT, {"type": "text", "text": "And this:"}, PICTURE]},
]


def usage(url: str, whole: dict[str, Any]) -> int:
    """Return the input tokens, cached ones included."""
    tokens = post(url, whole).json["usage"]
    return int(tokens["input_tokens"] + tokens["cache_creation_input_tokens"] + tokens["cache_read_input_tokens"])


SHAPES: dict[str, dict[str, Any]] = {
    "pictures": body(*TALK, tools=[BASH]),
    "a document": body({"role": "user", "content": [NOTES, PAPER]}),
    "a search result": body({"role": "user", "content": [FOUND]}),
    "examples": body(tools=[TOOL | {"input_examples": [{"place": "Ulm"}]}]),
    "a defined tool": body(tools=[BASH]),
}


@pytest.mark.clause("CNT-2", "IN-2", "IN-5", "IN-6", "TOOL-12", "TOOL-14")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_count_is_the_input_of_the_same_request(engine: ControllableEngine, shape: dict[str, Any]) -> None:
    assert count(engine.url, shape) == usage(engine.url, shape) > 0


@pytest.mark.clause("IN-4")
def test_an_image_costs_only_its_note(engine: ControllableEngine) -> None:
    large = PICTURE | {"source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K" * 100_000}}
    plain, noted = (count(engine.url, body({"role": "user", "content": [block]})) for block in (FOUND, large))
    assert noted < plain + 40


@pytest.mark.clause("IN-4", "CACHE-4")
def test_the_note_is_the_same_in_every_later_turn(engine: ControllableEngine) -> None:
    url = engine.says("A dot.")
    sent = {"role": "assistant", "content": post(url, body(*TALK, tools=[BASH])).json["content"]}
    post(url, body(*TALK, sent, user("Are you sure?"), tools=[BASH]))
    before, after = engine.prompts[-2:]
    assert list(after[: len(before) - 1]) == list(before[:-1])  # the script's last "token" continues with the answer


@pytest.mark.clause("IN-4")
@pytest.mark.parametrize("stream", [False, True])
def test_the_log_line_names_removed_content(engine: ControllableEngine, caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    caplog.set_level("INFO", "dragoman.request")
    answer = post(engine.url, body({"role": "user", "content": [BROKEN]}, *TALK, stream=stream))
    until(lambda: any(answer.headers["request-id"] in line for line in caplog.messages))  # it is written after the answer
    line = next(line for line in caplog.messages if answer.headers["request-id"] in line)
    assert "omitted: 1 document that cannot be read, omitted: 2 images that the model cannot see" in line.replace(";", ",")


@pytest.mark.clause("IN-5")
def test_the_model_reads_the_text_of_a_pdf(engine: ControllableEngine) -> None:
    pages = NOTES["source"] | {"data": '<page number="1">\nIt snows.\n</page>'}
    read, written = (
        body({"role": "user", "content": [block]}) for block in (PAPER, NOTES | {"title": "Paper", "source": pages})
    )
    post(engine.url, read)
    post(engine.url, written)
    assert engine.prompts[-2] == engine.prompts[-1]


@pytest.mark.clause("IN-5", "CC-8")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_broken_pdf_is_refused_with_the_token_that_clients_know(engine: ControllableEngine, path: str) -> None:
    refused = post(engine.url, body({"role": "user", "content": [NOTES, BROKEN]}), path)
    assert (refused.status, refused.error) == (
        HTTPStatus.BAD_REQUEST,
        (
            "invalid_request_error",
            f"messages.0.content.1.document.source.base64.data: {NOT_VALID}",
        ),
    )


@pytest.mark.clause("IN-4", "CC-8")
def test_with_strict_input_an_image_is_refused(serve: Serve) -> None:
    url = serve(strict_input=True)
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        refused = post(url, body({"role": "user", "content": [PICTURE]}), path)
        assert refused.status == HTTPStatus.BAD_REQUEST
        assert refused.error == (
            "invalid_request_error",
            "messages.0.content.0: this model cannot see images (capability_rejected: image_block)",
        )
        assert post(url, body({"role": "user", "content": [NOTES, FOUND, PAPER]}), path).status == HTTPStatus.OK


@pytest.mark.clause("IN-2", "IN-5", "ERR-9")
def test_urls_are_fetched_if_the_operator_allows_it_but_not_from_this_network(serve: Serve) -> None:
    linked = {"type": "document", "source": {"type": "url", "url": "http://127.0.0.1:9/a.pdf"}}
    asked = body({"role": "user", "content": [linked]})
    refused = post(serve(fetch_urls=True), asked)
    assert refused.error == (
        "invalid_request_error",
        f"messages.0.content.0.document.source.url.url: Could not fetch the URL: it {NOT_PUBLIC}",
    )
    assert post(serve(), asked).status == HTTPStatus.OK  # the model reads that nothing was fetched


@pytest.mark.clause("FIL-4")
def test_a_file_reference_is_not_found(engine: ControllableEngine) -> None:
    uploaded = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    refused = post(engine.url, body({"role": "user", "content": [uploaded]}))
    assert refused.status == HTTPStatus.BAD_REQUEST
    assert "File `file_1` not found." in refused.error[1]


@pytest.mark.clause("TOOL-14", "TOOL-8")
def test_a_call_of_a_predefined_tool_is_an_ordinary_call(engine: ControllableEngine) -> None:
    call = {"name": "bash", "arguments": {"command": "ls"}}
    message = post(engine.says(f"<tool_call>\n{json.dumps(call)}\n</tool_call>"), body(tools=[BASH])).json
    assert message["stop_reason"] == "tool_use"
    (block,) = message["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "bash", {"command": "ls"})
    assert block["caller"] == {"type": "direct"}


@pytest.mark.clause("TOOL-14", "TOOL-12")
def test_the_prompt_has_the_parameters_and_examples_of_a_predefined_tool(engine: ControllableEngine) -> None:
    plain, shown = (
        count(engine.url, body(tools=[BASH])),
        count(engine.url, body(tools=[BASH | {"input_examples": [{"command": "ls"}]}])),
    )
    assert count(engine.url, body()) + 40 < plain < shown

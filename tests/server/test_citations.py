"""Citations on a live server, with the SDK's types: what is cited stands in the document of the request."""

import base64
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from conftest import body
from controllable_engine import ControllableEngine
from media.pdf_files import text_pdf
from server.http import post

CITED = {"enabled": True}
TEXT = "The ferry runs daily. It costs 3 euros."
PLAIN = {
    "type": "document",
    "title": "Ferry",
    "citations": CITED,
    "source": {"type": "text", "media_type": "text/plain", "data": TEXT},
}
BLOCKS = {
    "type": "document",
    "citations": CITED,
    "source": {"type": "content", "content": [{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}]},
}
UNCITED = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Secret. Hidden."}}
FOUND = {
    "type": "search_result",
    "source": "https://a.example",
    "title": "A",
    "citations": CITED,
    "content": [{"type": "text", "text": "Found."}],
}


def pdf(*pages: bytes) -> dict[str, Any]:
    data = base64.b64encode(text_pdf(*pages)).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return {"type": "document", "citations": CITED, "source": source}


def asked(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body({"role": "user", "content": [*blocks, {"type": "text", "text": "So?"}]}, **fields)


def answered(url: str, request: dict[str, Any]) -> Message:
    """The answer by the SDK's types, which accumulate from the stream what comes in one piece."""
    fields = {name: value for name, value in request.items() if name != "stream"}
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        whole = client.messages.create(**fields)
        with client.messages.stream(**fields) as stream:
            streamed = stream.get_final_message()
    assert [block.model_dump(exclude={"parsed_output"}) for block in streamed.content] == [
        block.model_dump() for block in whole.content
    ]
    return whole


def cited(message: Message) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (block.text, [citation.model_dump(exclude={"file_id"}) for citation in block.citations or []])
        for block in message.content
        if block.type == "text"
    ]


PLACES: dict[str, tuple[list[dict[str, Any]], int, dict[str, Any]]] = {
    # documents, number of the passage, citation
    "plain text": (
        [UNCITED, PLAIN],
        2,
        {
            "type": "char_location",
            "cited_text": "It costs 3 euros.",
            "document_index": 1,
            "document_title": "Ferry",
            "start_char_index": 22,
            "end_char_index": 39,
        },
    ),
    "blocks": (
        [PLAIN, BLOCKS],
        4,
        {
            "type": "content_block_location",
            "cited_text": "Second.",
            "document_index": 1,
            "document_title": None,
            "start_block_index": 1,
            "end_block_index": 2,
        },
    ),
    "a page of a PDF": (
        [pdf(b"One here. And more.", b"", b"Three there.")],
        3,
        {
            "type": "page_location",
            "cited_text": "Three there.",
            "document_index": 0,
            "document_title": None,
            "start_page_number": 3,
            "end_page_number": 4,
        },
    ),
    "a search result": (
        [PLAIN, FOUND],
        3,
        {
            "type": "search_result_location",
            "cited_text": "Found.",
            "search_result_index": 0,
            "source": "https://a.example",
            "title": "A",
            "start_block_index": 0,
            "end_block_index": 1,
        },
    ),
}


@pytest.mark.clause("IN-5", "IN-6", "SSE-13", "SSE-20", "RES-8")
@pytest.mark.parametrize(("documents", "number", "citation"), PLACES.values(), ids=PLACES)
def test_a_citation_names_its_place(
    engine: ControllableEngine, documents: list[dict[str, Any]], number: int, citation: dict[str, Any]
) -> None:
    message = answered(engine.says(f"Well. It is so.[^{number}] Bye."), asked(*documents))
    assert cited(message) == [("Well. ", []), ("It is so.", [citation]), (" Bye.", [])]


@pytest.mark.clause("IN-6")
def test_results_of_tools_can_be_cited(engine: ControllableEngine) -> None:
    call = {"type": "tool_use", "id": "call_1", "name": "find", "input": {}}
    found = [FOUND, FOUND | {"source": "https://b.example", "content": [{"type": "text", "text": "Also found."}]}]
    messages = [
        {"role": "user", "content": "Find it."},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": found}]},
    ]
    ((_, (citation,)),) = cited(answered(engine.says("There.[^2]"), body(*messages)))
    assert (citation["search_result_index"], citation["source"]) == (1, "https://b.example")
    assert citation["cited_text"] == "Also found."


@pytest.mark.clause("IN-5")
@pytest.mark.parametrize("output", ["So.[^9]", "Hidden.[^0]", "Secret. Hidden.", "It costs 4 euros. [^99999999]"])
def test_what_is_in_no_cited_document_is_never_a_citation(engine: ControllableEngine, output: str) -> None:
    message = answered(engine.says(output), asked(UNCITED, PLAIN))
    assert all(citations == [] for _, citations in cited(message))


@pytest.mark.clause("IN-5", "CACHE-4", "CNT-2")
@pytest.mark.parametrize("document", [PLAIN, BLOCKS, pdf(b"One here. And more.", b"Two.")], ids=["text", "blocks", "PDF"])
def test_the_next_prompt_begins_with_the_answer_as_the_model_wrote_it(
    engine: ControllableEngine, document: dict[str, Any]
) -> None:
    url = engine.says("Well. It is so.[^1]\n\nAnd so.[^2] Bye.")
    request = asked(document)
    message = answered(url, request)
    assert sum(len(citations) for _, citations in cited(message)) == 2
    said = [{"type": "text", **block.model_dump(exclude={"type"})} for block in message.content]
    later = body(*request["messages"], {"role": "assistant", "content": said}, {"role": "user", "content": "And?"})
    prompt = answered_prompt(engine, url, later)
    assert "Well. It is so.[^1]\n\nAnd so.[^2] Bye." in prompt
    assert post(url, later, "/v1/messages/count_tokens").json["input_tokens"] == len(engine.prompts[0])


def answered_prompt(engine: ControllableEngine, url: str, request: dict[str, Any]) -> str:
    engine.requests.clear()
    post(url, request)
    return "".join(engine.words[token] for token in engine.prompts[0])


@pytest.mark.clause("IN-5")
def test_the_model_reads_marks_and_how_to_use_them(engine: ControllableEngine) -> None:
    prompt = answered_prompt(engine, engine.says("Yes."), asked(UNCITED, PLAIN))
    assert "The ferry runs daily.[^1] It costs 3 euros.[^2]" in prompt
    assert "Secret. Hidden.\n" in prompt
    assert prompt.count("<citations>") == 1


@pytest.mark.clause("STR-7")
def test_citations_exclude_an_output_format(engine: ControllableEngine) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    answer = post(engine.url, asked(PLAIN, output_config={"format": {"type": "json_schema", "schema": schema}}))
    assert answer.error[1].startswith("messages.0.content.0.citations")


@pytest.mark.clause("IN-1")
def test_citations_in_the_history_can_be_anything(engine: ControllableEngine) -> None:
    odd: list[Any] = [{"type": "char_location"}, {"type": 5}, "x", {"type": "char_location", "document_index": -1}, None]
    odd += [{"type": "char_location", "document_index": 0, "start_char_index": -5, "end_char_index": 10**30, "cited_text": 5}]
    said = {"role": "assistant", "content": [{"type": "text", "text": "So.", "citations": odd}]}
    request = asked(PLAIN)
    answer = post(engine.says("Yes."), body(*request["messages"], said, {"role": "user", "content": "And?"}))
    assert answer.status == 200

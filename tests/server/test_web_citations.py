"""Citations of what the server found and fetched: what is cited stands in a hit or a page of the message, word for word."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import openai
import pytest
from aiohttp import web
from anthropic.types import Message

from conftest import MODEL, body, live_registry, registry_of, user
from dragoman import dialects
from dragoman.conversation import ToolCall
from dragoman.media.fetching import Fetcher
from dragoman.server_tools import SearchSettings, ServerToolbox, ServerToolSettings
from media.pdf_files import text_pdf
from search_server import SearchServer, search_server
from server.http import post
from server.recording_engine import RecordingEngine, common_beginning
from server.sdk import answered
from server_tools.mcp_servers import in_thread
from server_tools.web_site import site_of

SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
FETCH: dict[str, Any] = {"type": "web_fetch_20250910", "name": "web_fetch", "citations": {"enabled": True}}
PAGE = "High tide is at 12:34. Low tide is at 18:47."
NOTE = {
    "type": "document",
    "citations": {"enabled": True},
    "source": {"type": "text", "media_type": "text/plain", "data": "The sea is wide."},
}


def call(name: str, **arguments: str) -> str:
    return dialects.DEFAULT.encode_calls([ToolCall("", name, arguments)])


@pytest.fixture(scope="module")
def search() -> Iterator[SearchServer]:
    with search_server() as server:
        yield server


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    answers: dict[str, dict[str, Any]] = {
        "text": {"text": PAGE},
        "pdf": {"body": text_pdf(b"Low tide is at 18:47.", b"And so on."), "content_type": "application/pdf"},
    }

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(**answers[request.match_info["name"]])

    with in_thread(site_of(answer)) as url:
        yield url


@contextmanager
def serving(search: SearchServer, *script: str) -> Iterator[tuple[str, RecordingEngine]]:
    """A server that searches, and fetches from this machine, which no real one does."""
    engine = RecordingEngine(*script)
    settings = ServerToolSettings(search=SearchSettings.of(f"searxng:{search.url}", ""), fetch=True)
    registry = registry_of(engine, server_tools=settings)
    registry.toolbox = ServerToolbox(settings, Fetcher(1_000_000, allows=lambda _: True))
    with live_registry(registry) as url:
        yield url, engine


def answer(url: str, tool: dict[str, Any], *messages: dict[str, Any], stream: bool = False) -> Message:
    message: Message = answered(url, stream=stream, model=MODEL, max_tokens=400, messages=messages, tools=[tool])
    return message


def cited(message: Message) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (block.text, [citation.model_dump(exclude={"file_id"}) for citation in block.citations or []])
        for block in message.content
        if block.type == "text"
    ]


def said(message: Message) -> dict[str, Any]:
    """The message as a client sends it back."""
    blocks = [block.model_dump(exclude={"parsed_output"}, by_alias=True) for block in message.content]
    return {"role": "assistant", "content": json.loads(json.dumps(blocks))}


def shared(prompts: Sequence[list[int]]) -> float:
    """The least share of a prompt with which the next one begins."""
    return min(common_beginning(one, other) / len(one) for one, other in pairwise(prompts))


@pytest.mark.clause("TOOL-15", "SSE-13", "SSE-20", "CACHE-4")
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_cites_the_hits_of_all_searches_of_the_conversation(search: SearchServer, stream: bool) -> None:
    script = [call("web_search", query="tides"), "It is high at noon.[^1] The sea?[^2] Bye.[^7]"]
    script += [call("web_search", query="sea"), "Both say so.[^1][^4] I see."]
    with serving(search, *script) as (url, engine):
        first = answer(url, SEARCH, user("When?"), stream=stream)
        ((_, (high,)), (_, (wide,)), bye) = cited(first)
        assert bye == (" Bye.", [])
        assert (high["type"], high["url"], high["title"], high["cited_text"]) == (
            "web_search_result_location",
            "https://tides.example/ulm",
            "Tides of Ulm",
            "High tide is at 12:34 & low tide at 18:47.",
        )
        assert (wide["cited_text"], wide["title"]) == ("It is wide.", "The sea")

        later = answer(url, SEARCH, user("When?"), said(first), user("And?"), stream=stream)
        ((_, (one, other)), _) = cited(later)
        assert one == high
        assert other["cited_text"] == wide["cited_text"]
        assert other["encrypted_index"] != wide["encrypted_index"]  # the same page, found again
        assert "It is high at noon.[^1] The sea?[^2]" in engine.texts[2]
        assert "It is wide.[^4]" in engine.texts[3]
        talk = [user("When?"), said(first), user("And?"), said(later), user("Thanks.")]
        assert post(url, body(*talk, tools=[SEARCH])).status == 200
        assert shared(engine.prompts) > 0.95


@pytest.mark.clause("TOOL-15", "SSE-13", "CACHE-4")
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("text", {"type": "char_location", "start_char_index": 23, "end_char_index": 44}),
        ("pdf", {"type": "page_location", "start_page_number": 1, "end_page_number": 2}),
    ],
)
def test_an_answer_cites_the_pages_that_it_fetched(search: SearchServer, site: str, path: str, place: dict[str, Any]) -> None:
    """They are documents of the conversation, after those that the client sent."""
    mark = {"text": "[^3]", "pdf": "[^2]"}[path]
    script = call("web_fetch", url=f"{site}/{path}"), f"It is low at a quarter to seven.{mark}", "Wide.[^1]"
    with serving(search, *script) as (url, engine):
        question = {"role": "user", "content": [NOTE, {"type": "text", "text": f"Read {site}/{path}."}]}
        first = answer(url, FETCH, question)
        ((_, (low,)),) = cited(first)
        document = {"document_index": 1, "document_title": None, "cited_text": "Low tide is at 18:47."}
        assert low == document | place
        later = answer(url, FETCH, question, said(first), user("And the sea?"))
        ((_, (wide,)),) = cited(later)
        assert (wide["document_index"], wide["cited_text"]) == (0, "The sea is wide.")
        assert f"quarter to seven.{mark}" in engine.texts[2]
        assert shared(engine.prompts) > 0.95


@pytest.mark.clause("TOOL-15")
@pytest.mark.parametrize("output", ["It is so.[^9]", "It is at noon. [^0]", "Low tide is at 18:48.", "So it is.[^99999999]"])
def test_what_no_hit_says_is_never_a_citation(search: SearchServer, output: str) -> None:
    with serving(search, call("web_search", query="tides"), output) as (url, _):
        assert all(citations == [] for _, citations in cited(answer(url, SEARCH, user("When?"))))


@pytest.mark.clause("TOOL-15")
def test_a_sentence_that_repeats_a_hit_cites_it(search: SearchServer) -> None:
    quote = "High tide is at 12:34 & low tide at 18:47."
    with serving(search, call("web_search", query="tides"), f"I found this. {quote}") as (url, _):
        _, (text, (citation,)) = cited(answer(url, SEARCH, user("When?")))
    assert text == citation["cited_text"] == quote


@pytest.mark.clause("STR-7")
def test_an_output_format_leaves_no_place_for_citations(search: SearchServer) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    fields = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    with serving(search, call("web_search", query="tides"), "{}") as (url, engine):
        message = post(url, body(user("When?"), tools=[SEARCH], **fields)).json
        assert message["content"][-1]["text"] == "{}"
        assert "[^1]" not in engine.texts[-1]
        refused = post(url, body(user("When?"), tools=[FETCH], **fields))
    assert refused.error[1] == "tools.0.citations: citations cannot be combined with an output format"


@pytest.mark.clause("IN-1", "IN-12")
def test_citations_of_hits_in_the_history_can_be_anything(search: SearchServer) -> None:
    with serving(search, call("web_search", query="tides"), "It is high at noon.[^1]", "Yes.") as (url, engine):
        message = said(answer(url, SEARCH, user("When?")))
        (citation,) = message["content"][-1]["citations"]
        for damaged in (citation["encrypted_index"][:-3], "x", 5, None):
            citation["encrypted_index"] = damaged
            assert post(url, body(user("When?"), message, user("And?"), tools=[SEARCH])).status == 200
            assert "noon.[^1]" not in engine.texts[-1]
        assert "low tide at 18:47.[^1]" in engine.texts[-1]


@pytest.mark.clause("TOOL-15")
def test_a_page_that_a_search_found_can_be_fetched_and_both_be_cited(search: SearchServer, site: str) -> None:
    found = [{"url": f"{site}/text", "title": "Tides", "content": "All about tides."}]
    search.answers["tides"] = (200, json.dumps({"results": found}).encode())
    script = [call("web_search", query="tides"), call("web_fetch", url=f"{site}/text"), "It is there.[^1] High at noon.[^2]"]
    with serving(search, *script) as (url, _):
        request: Any = body(user("When?"), tools=[SEARCH, FETCH], max_tokens=400)
        message = post(url, request).json
    del search.answers["tides"]
    (_, (hit,)), (_, (page,)) = [(block["text"], block["citations"]) for block in message["content"] if block["type"] == "text"]
    assert (hit["type"], hit["cited_text"]) == ("web_search_result_location", "All about tides.")
    assert (page["type"], page["cited_text"], page["document_index"]) == ("char_location", "High tide is at 12:34. ", 0)


RESPONSES: Any = {"model": MODEL, "tools": [{"type": "web_search"}], "reasoning": {"effort": "none"}}


@contextmanager
def responding(search: SearchServer, *script: str) -> Iterator[tuple[openai.OpenAI, RecordingEngine]]:
    with (
        serving(search, *script) as (url, engine),
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, _strict_response_validation=True) as client,
    ):
        yield client, engine


@pytest.mark.clause("RSP-1", "RSP-2", "RSP-3", "CACHE-4")
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_response_cites_the_hits_of_all_searches(search: SearchServer, stored: bool, stream: bool) -> None:
    script = [call("web_search", query="tides"), "Ür: it is high at noon.[^1] The sea?[^2] Bye.[^7]"]
    script += [call("web_search", query="sea"), "Both say so.[^1][^4] I see.", "You are welcome."]
    with responding(search, *script) as (client, engine):

        def respond(**request: Any) -> Any:
            if not stream:
                return client.responses.create(**RESPONSES, **request)
            with client.responses.stream(**RESPONSES, **request) as events:
                added: Any = [event.annotation for event in events if event.type == "response.output_text.annotation.added"]
                whole = events.get_final_response()
            sent: Any = whole.output[-1]
            assert [each.to_dict() for each in added] == [each.to_dict() for each in sent.content[0].annotations]
            return whole

        first = respond(input="When?")
        (text,) = first.output[-1].content
        assert text.text == "Ür: it is high at noon. The sea? Bye."
        high, wide = text.annotations
        assert (high.type, high.url, high.title) == ("url_citation", "https://tides.example/ulm", "Tides of Ulm")
        assert [text.text[each.start_index : each.end_index] for each in (high, wide)] == [
            "Ür: it is high at noon.",
            " The sea?",
        ]

        talk: list[Any] = [user("When?"), *(item.model_dump(exclude_none=True) for item in first.output), user("And?")]
        later = respond(**({"input": "And?", "previous_response_id": first.id} if stored else {"input": talk}))
        (text,) = later.output[-1].content
        assert [(each.url, text.text[each.start_index : each.end_index]) for each in text.annotations] == [
            (high.url, "Both say so."),
            (wide.url, "Both say so."),
        ]
        talk += [*(item.model_dump(exclude_none=True) for item in later.output), user("Thanks.")]
        respond(**({"input": "Thanks.", "previous_response_id": later.id} if stored else {"input": talk}))
        assert "it is high at noon.[^1] The sea?[^2] Bye." in engine.texts[2]
        assert "Both say so.[^1][^4] I see." in engine.texts[-1]
        assert shared(engine.prompts) > 0.95


@pytest.mark.clause("RSP-3")
@pytest.mark.parametrize(
    "annotations",
    [
        None,
        "x",
        [None, 5, {"type": "file_citation"}],
        [{"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://a.example", "title": "A"}],
        [{"start_index": 0, "end_index": 99}, {"start_index": -1}, {"end_index": 0}, {"start_index": "0"}],
        [{"encrypted_index": "x"}, {"encrypted_index": 5}, {"encrypted_index": None}],
    ],
)
def test_annotations_in_the_history_can_be_anything(search: SearchServer, annotations: Any) -> None:
    with responding(search, call("web_search", query="tides"), "It is high.[^1]", "Yes.") as (client, engine):
        items: Any = [item.model_dump(exclude_none=True) for item in client.responses.create(**RESPONSES, input="When?").output]
        (part,) = items[-1]["content"]
        (good,) = part["annotations"]
        damaged = annotations
        if isinstance(annotations, list):
            damaged = [good | each if isinstance(each, dict) and "type" not in each else each for each in annotations]
        part["annotations"] = damaged
        client.responses.create(**RESPONSES, input=[user("When?"), *items, user("And?")])
        assert "It is high." in engine.texts[-1]
        assert "It is high.[^1]" not in engine.texts[-1]


@pytest.mark.clause("RSP-3")
def test_without_the_search_in_the_history_a_citation_is_its_text(search: SearchServer) -> None:
    with responding(search, call("web_search", query="tides"), "It is high.[^1]", "Yes.") as (client, engine):
        *_, message = client.responses.create(**RESPONSES, input="When?").output
        said: Any = [user("When?"), message.model_dump(exclude_none=True), user("And?")]
        client.responses.create(**RESPONSES, input=said)
        assert "It is high." in engine.texts[-1]
        assert "[^1]" not in engine.texts[-1]


@pytest.mark.clause("RSP-1")
def test_a_response_with_a_format_has_no_citations(search: SearchServer) -> None:
    with responding(search, call("web_search", query="tides"), "{}") as (client, engine):
        response = client.responses.create(**RESPONSES, input="When?", text={"format": {"type": "json_object"}})
        assert response.output_text == "{}"
        assert "[^1]" not in engine.texts[-1]

"""Images, documents and search results in requests: which are accepted, and the errors for the others."""

import json
from typing import Any

import pytest

from dragoman.api.anthropic import rules
from dragoman.api.anthropic.request import MessagesRequest
from dragoman.errors import InvalidRequest

from .bodies import assistant, body, by_clause, call, error_of, result, text, user
from .test_rules import TTL

SHORT, LONG = {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral", "ttl": "1h"}
FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
CITED = {"citations": {"enabled": True}}


def image(source: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "image", "source": source or {"type": "base64", "media_type": "image/png", "data": "AAAA"}, **fields}


def document(source: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source or {"type": "text", "media_type": "text/plain", "data": "x"}, **fields}


def found(**fields: Any) -> dict[str, Any]:
    return {"type": "search_result", "source": "https://example.com", "title": "t", "content": [text("x")], **fields}


PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
URL = {"type": "url", "url": "https://example.com/x"}
UPLOADED = {"type": "file", "file_id": "file_1"}
IN_RESULT = [user("Hi"), assistant(call("a"))]

CASES: list[tuple[str, dict[str, Any], str]] = [
    *(
        ("IN-2", body(user(image({"type": "base64", "media_type": f"image/{kind}", "data": ""}))), "")
        for kind in ("gif", "webp")
    ),
    ("IN-2", body(user(image(transformations={"oversized_image": "error"}, cache_control=SHORT), image(URL))), ""),
    (
        "IN-2",
        body(user(image({"type": "base64", "media_type": "image/svg+xml", "data": ""}))),
        "",
    ),
    (
        "IN-2",
        body(user(image({"type": "ftp"}))),
        (
            "messages.0.content.0.image.source: Input tag 'ftp' found using 'type' does not match any of the expected tags: "
            "'base64', 'url', 'file' (capability_rejected: image_block)"
        ),
    ),
    (
        "IN-2",
        body(user({"type": "image"})),
        "messages.0.content.0.image.source: Field required (capability_rejected: image_block)",
    ),
    (
        "IN-2",
        body(user(image({"type": "url"}))),
        "messages.0.content.0.image.source.url.url: Field required (capability_rejected: image_block)",
    ),
    ("IN-2", body(user(image(PDF))), ""),
    ("IN-5", body(user(document(title="t", context="c", citations={"enabled": False}, cache_control=LONG))), ""),
    ("IN-5", body(user(document(PDF), document(URL), document(title=None, context=None, citations=None))), ""),
    ("IN-5", body(user(document({"type": "content", "content": [text("x"), image()]}))), ""),
    (
        "IN-5",
        body(user(document({"type": "text", "media_type": "text/html", "data": "x"}))),
        "",
    ),
    (
        "IN-5",
        body(user(document(image()["source"]))),
        "",
    ),
    (
        "IN-5",
        body(user(document({"type": "content", "content": [found()]}))),
        (
            "messages.0.content.0.document.source.content.content.0: Input tag 'search_result' found using 'type' does not "
            "match any of the expected tags: 'text', 'image' (capability_rejected: document_block)"
        ),
    ),
    ("IN-6", body(user(found(cache_control=SHORT, **CITED))), ""),
    ("IN-6", body(user(found(title=None))), "messages.0.content.0.search_result.title: Input should be a valid string"),
    (
        "IN-6",
        body(user(found(content=[image()]))),
        "messages.0.content.0.search_result.content.0.type: Input should be 'text'",
    ),
    (
        "IN-8",
        body(*IN_RESULT, user(result("a", content=[text("x"), image(), document(), found()]))),
        "",
    ),
    (
        "IN-8",
        body(*IN_RESULT, user(result("a", content=[image({"type": "url"})]))),
        "messages.2.content.0.tool_result.content.0.image.source.url.url: Field required (capability_rejected: image_block)",
    ),
    (
        "FIL-4",
        body(user(text("x"), image(UPLOADED))),
        "",
    ),
    (
        "FIL-4",
        body(*IN_RESULT, user(result("a", content=[document(UPLOADED)]))),
        "",
    ),
    (
        "FIL-4",
        body(user(document({"type": "content", "content": [image(UPLOADED)]}))),
        "",
    ),
    (
        "STR-7",
        body(user(document(**CITED)), output_config={"format": FORMAT}),
        "messages.0.content.0.citations: citations cannot be combined with an output format",
    ),
    ("STR-7", body(user(document(citations={"enabled": False})), output_config={"format": FORMAT}), ""),
    (
        "CACHE-3",
        body(
            user(
                image(cache_control=SHORT),
                document({"type": "content", "content": [text("x"), text("y", cache_control=LONG)]}),
            )
        ),
        f"messages.0.content.1.source.content.1.cache_control.ttl: {TTL}",
    ),
]


@pytest.mark.parametrize(("source", "message"), by_clause(CASES))
def test_attachments_are_accepted_or_refused_at_their_path(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message


def refusal(check: Any, *messages: dict[str, Any], **options: Any) -> str:
    try:
        check(MessagesRequest.model_validate_json(json.dumps(body(*messages))), **options)
    except InvalidRequest as refused:
        return refused.message
    return ""


@pytest.mark.clause("TRN-9")
def test_the_newest_version_refuses_documents_of_the_assistant_and_citations_of_the_user() -> None:
    turns = [user("Hi"), assistant(document())]
    assert refusal(rules.check_strict, *turns, current=False) == ""
    assert refusal(rules.check_strict, *turns, current=True) == (
        "messages.1.content.0: `document` blocks can only be in `user` messages"
    )
    assert refusal(rules.check_strict, user(found(content=[text("x", citations=[{}])])), current=True) == (
        "messages.0.content.0.content.0.text.citations: Extra inputs are not permitted"
    )

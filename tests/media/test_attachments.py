"""What replaces attachments for a text-only model, and the errors for those that cannot be read."""

import base64
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies import assistant, body, call, read, result, system, text, user
from dragoman.api.openai.lowering import lower_chat
from dragoman.api.openai.request import ChatRequest
from dragoman.conversation import Attachment, AttachmentKind, Dialogue, Inline, Role, Text, ToolResult, Turn, Url, types
from dragoman.errors import InvalidRequest
from dragoman.media.outcomes import Outcome, Sight, wanted, without_attachments

JsonObject = dict[str, Any]


def picture(data: str = "AAAA", media_type: str = "image/png") -> JsonObject:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def linked(url: str) -> JsonObject:
    return {"type": "image", "source": {"type": "url", "url": url}}


def document(kind: str, **fields: Any) -> JsonObject:
    sources = {
        "text": {"media_type": "text/plain", "data": "Line one.\nLine two."},
        "base64": {"media_type": "application/pdf", "data": "AAAA"},
        "url": {"url": "https://example.com/a.pdf"},
    }
    return {"type": "document", "source": {"type": kind, **(sources.get(kind) or fields.pop("source"))}, **fields}


def found(**fields: Any) -> JsonObject:
    return {
        "type": "search_result",
        "source": "https://example.com/a",
        "title": "A page",
        "content": [text("One."), text("Two.")],
        **fields,
    }


PAGES = Outcome((Text('<page number="1">\nIt rained.\n</page>'),))
UNREADABLE = Outcome(unreadable="The PDF specified was not valid.")


def read_as_text(source: JsonObject, outcome: Outcome = PAGES) -> Dialogue:
    """The dialogue for a text-only model; every PDF gives this outcome."""
    dialogue = read(source).dialogue
    return without_attachments(dialogue, Sight(), dict.fromkeys(wanted(dialogue, Sight(), {}), outcome))


def seen(*blocks: JsonObject) -> list[str]:
    """The text that the model gets for these blocks."""
    return [part.text for part in read_as_text(body(user(*blocks))).turns[0].content if isinstance(part, Text)]


FORMS: dict[str, tuple[JsonObject, list[str]]] = {
    "a text with title and context": (
        document("text", title="Report", context="Of last year."),
        [
            *("<document>", "<title>Report</title>", "<context>Of last year.</context>"),
            *("<content>", "Line one.", "Line two.", "</content>", "</document>"),
        ],
    ),
    "a bare text": (document("text"), ["<document>", "<content>", "Line one.", "Line two.", "</content>", "</document>"]),
    "a string in a content source": (
        document("content", source={"content": "All of it."}, title="T"),
        ["<document>", "<title>T</title>", "<content>", "All of it.", "</content>", "</document>"],
    ),
    "blocks in a content source": (
        document("content", source={"content": [text("One."), picture(), text("Two.")]}),
        [
            *("<document>", "<content>", "One.", "[image omitted: this model cannot see images (image/png, 3 bytes)]"),
            *("Two.", "</content>", "</document>"),
        ],
    ),
    "a PDF": (
        document("base64", title="Scan"),
        [
            *("<document>", "<title>Scan</title>", "<content>"),
            *('<page number="1">', "It rained.", "</page>", "</content>", "</document>"),
        ],
    ),
    "a PDF by URL": (
        document("url"),
        [
            *("<document>", "<content>", "[document omitted: this server does not fetch URLs (https://example.com/a.pdf)]"),
            *("</content>", "</document>"),
        ],
    ),
    "a search result": (
        found(),
        [
            *("<search_result>", "<source>https://example.com/a</source>", "<title>A page</title>"),
            *("<content>", "One.", "Two.", "</content>", "</search_result>"),
        ],
    ),
    "an image": (picture(), ["[image omitted: this model cannot see images (image/png, 3 bytes)]"]),
    "an image by URL": (
        linked("https://example.com/a.png?size=2"),
        ["[image omitted: this model cannot see images (https://example.com/a.png?size=2)]"],
    ),
}


@pytest.mark.clause("IN-2", "IN-4", "IN-5", "IN-6")
@pytest.mark.parametrize(("block", "lines"), FORMS.values(), ids=FORMS.keys())
def test_an_attachment_reads_the_same_at_the_top_and_inside_a_result(block: JsonObject, lines: list[str]) -> None:
    words = "\n".join(lines)
    assert seen(text("Look:"), block, text("Well?")) == ["Look:", words, "Well?"]
    turns = read_as_text(
        body(user("Hi"), assistant(call("a", "look")), user(result("a", content=[text("Here:"), block])))
    ).turns
    assert turns[-1] == Turn(Role.USER, (ToolResult.of_text("a", "look", f"Here:\n{words}"),))


@pytest.mark.clause("IN-4")
@given(st.binary(min_size=1, max_size=5000))
def test_the_note_of_an_image_has_its_size_and_none_of_its_bytes(content: bytes) -> None:
    data = base64.b64encode(content).decode()
    assert seen(picture(data)) == [f"[image omitted: this model cannot see images (image/png, {len(content):,} bytes)]"]


@pytest.mark.clause("IN-4")
@pytest.mark.parametrize("data", ["", "=", "AAA", "AA=A", "no base64 at all", "AAAA\n", "🦊🦊🦊🦊", "-_-_"])
def test_invalid_base64_is_a_note_too_and_does_not_block_the_conversation(data: str) -> None:
    assert seen(picture(data, "image/gif")) == [
        "[image omitted: this model cannot see images (image/gif, not readable as base64)]"
    ]


@pytest.mark.clause("IN-4")
@pytest.mark.parametrize("url", ["data:image/png;base64,AAAA", "file:///etc/passwd", "", "https://a b", "HELLO"])
def test_an_invalid_url_is_not_shown(url: str) -> None:
    assert seen(linked(url)) == ["[image omitted: this model cannot see images (at an invalid URL)]"]


@pytest.mark.clause("IN-4")
def test_notes_say_what_the_model_does_not_get() -> None:
    assert read_as_text(body(user("Hi"))).notes == ()
    assert read_as_text(body(user(document("text"), found()))).notes == ()
    assert read_as_text(body(user(picture()))).notes == ("omitted: 1 image that the model cannot see",)
    inner = result("a", content=[picture(), document("content", source={"content": [picture()]})])
    request = body(user(picture(), document("base64")), assistant(call("a")), user(inner, document("url")))
    assert read_as_text(request, UNREADABLE).notes == (
        "omitted: 3 images that the model cannot see",
        "omitted: 1 document that cannot be read",
        "omitted: 1 document by URL, which this server does not fetch",
    )


@pytest.mark.clause("IN-3", "CC-8", "ERR-9")
@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ([user(document("base64"))], "messages.0.content.0.document.source.base64.data"),
        ([user(document("base64")), system("B")], "messages.0.content.0.document.source.base64.data"),
        (
            [user("A"), assistant(call("a")), user(result("a", content=[text("B"), document("base64")]))],
            "messages.2.content.0.content.1.document.source.base64.data",
        ),
    ],
)
def test_what_cannot_be_read_in_the_newest_message_is_refused_at_its_path(messages: list[JsonObject], path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_as_text(body(*messages), UNREADABLE)
    assert refused.value.message == f"{path}: The PDF specified was not valid. (capability_rejected: document_block)"


@pytest.mark.clause("IN-4", "CC-8")
def test_what_cannot_be_read_in_the_history_is_a_note_so_that_a_session_is_never_stuck() -> None:
    turns = read_as_text(body(user(document("base64")), user("B")), UNREADABLE).turns
    assert turns[0].content == (
        Text(
            "<document>\n<content>\n[document omitted: it cannot be read (application/pdf, 3 bytes)]\n</content>\n</document>"
        ),
        Text("B"),
    )


@pytest.mark.clause("IN-5", "CC-8")
def test_the_pages_of_all_pdfs_of_a_request_are_counted_together() -> None:
    pages = replace(PAGES, pages=200)
    three = [document("base64") for _ in range(3)]
    assert all("It rained." in text for text in seen(*three))
    assert read_as_text(body(user(*three)), pages).attachments == 0
    with pytest.raises(InvalidRequest) as refused:
        read_as_text(body(user(*three), assistant("A"), user(document("base64"))), pages)
    assert refused.value.message == (
        "messages.2.content.0.document.source.base64.data: A maximum of 600 PDF pages may be provided. (pdf_pages)"
        " (capability_rejected: document_block)"
    )
    history = read_as_text(body(user(*three, document("base64")), assistant("A"), user("B")), pages).turns[0].content
    assert [str(history).count(words) for words in ("It rained.", "document omitted: it cannot be read")] == [3, 1]


def test_the_data_of_an_attachment_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def counting(data: bytes) -> Any:
        hashed.append(data)
        return sha256(data)

    monkeypatch.setattr(types, "sha256", counting)
    read_as_text(body(user(document("base64"))))
    assert hashed == [b"AAAA"]


@pytest.mark.clause("IN-4", "CC-8")
def test_strict_input_refuses_what_would_be_a_note_anywhere() -> None:
    def refusal(*messages: JsonObject) -> str:
        dialogue, sight = read(body(*messages)).dialogue, Sight(strict=True)
        try:
            without_attachments(dialogue, sight, dict.fromkeys(wanted(dialogue, sight, {}), UNREADABLE))
        except InvalidRequest as refused:
            return refused.message
        return ""

    unseen = "this model cannot see images (capability_rejected: image_block)"
    assert refusal(user(text("x"), picture()), user("B")) == f"messages.0.content.1: {unseen}"
    assert refusal(user(document("content", source={"content": [picture()]}))).startswith(
        "messages.0.content.0.source.content.0: "
    )
    assert refusal(user(document("base64")), assistant("A"), user("B")).startswith("messages.0.content.0.document.source")
    assert refusal(user(document("url"))) == (
        "messages.0.content.0: this server does not fetch URLs (capability_rejected: document_block)"
    )
    assert refusal(user("Hi"), user(document("text"), found(), text("x"))) == ""


@pytest.mark.clause("IN-2", "IN-5", "IN-8", "ERR-9")
def test_attachments_are_lowered_with_their_paths_and_their_undecoded_source() -> None:
    inner = document("content", source={"content": [text("One."), picture()]}, title="T")
    dialogue = read(
        body(user(linked("u")), assistant(call("a")), user(result("a", content=[inner, text("x")]), text("y")))
    ).dialogue
    place = ("messages.2.content.0.content.0.source.content.1", "image.source.base64.data")
    image = Attachment(AttachmentKind.IMAGE, Inline("AAAA", "image/png"), *place)
    outer = Attachment(AttachmentKind.DOCUMENT, (Text("One."), image), "messages.2.content.0.content.0", title="T")
    assert dialogue.turns[0].content == (
        Attachment(AttachmentKind.IMAGE, Url("u"), "messages.0.content.0", "image.source.url.url"),
    )
    assert dialogue.turns[2].content == (ToolResult("a", "f", (outer, Text("x")), is_error=False), Text("y"))
    assert (dialogue.attachments, dialogue.newest) == (3, "messages.2.")


def test_both_formats_lower_an_image_to_the_same_attachment() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    theirs, ours = (
        dialogue.turns[0].content[0] for dialogue in (lower_chat(request).dialogue, read(body(user(picture()))).dialogue)
    )
    assert isinstance(theirs, Attachment)
    assert replace(theirs, field="image.source.base64.data") == ours


def test_the_newest_message_is_the_users_or_a_tools_even_if_others_follow_it() -> None:
    turns = [user(picture()), assistant("A"), user("B"), {"role": "system", "content": "C"}]
    assert read(body(*turns)).dialogue.newest == "messages.2."
    assert read(body(user("B"))).dialogue.newest == ""

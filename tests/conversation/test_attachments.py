"""The text that replaces documents, search results and images for a text-only model."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies import assistant, body, call, read, result, text, user
from dragoman.api.openai.lowering import lower_chat
from dragoman.api.openai.request import ChatRequest
from dragoman.conversation import Attachment, AttachmentKind, Dialogue, Inline, Role, Text, ToolResult, Turn, Url
from dragoman.media.text_only import for_text_only

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


def read_as_text(source: JsonObject) -> Dialogue:
    return for_text_only(read(source).dialogue)


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
            "[document omitted: this model cannot read PDF (application/pdf, 3 bytes)]",
            *("</content>", "</document>"),
        ],
    ),
    "a PDF by URL": (
        document("url"),
        [
            *("<document>", "<content>", "[document omitted: this model cannot read PDF (https://example.com/a.pdf)]"),
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
    request = body(user(picture(), document("base64")), assistant(call("a")), user(inner, found(citations={"enabled": True})))
    assert read_as_text(request).notes == (
        "omitted: 3 images and 1 document that the model cannot see",
        "ignored: citations, which the model does not write",
    )


@pytest.mark.clause("IN-2", "IN-5", "IN-8", "ERR-9")
def test_attachments_are_lowered_with_their_paths_and_their_undecoded_source() -> None:
    inner = document("content", source={"content": [text("One."), picture()]}, title="T")
    dialogue = read(
        body(user(linked("u")), assistant(call("a")), user(result("a", content=[inner, text("x")]), text("y")))
    ).dialogue
    data = Inline("AAAA", "image/png")
    image = Attachment(AttachmentKind.IMAGE, data, "messages.2.content.0.content.0.source.content.1")
    outer = Attachment(AttachmentKind.DOCUMENT, (Text("One."), image), "messages.2.content.0.content.0", title="T")
    assert dialogue.turns[0].content == (Attachment(AttachmentKind.IMAGE, Url("u"), "messages.0.content.0"),)
    assert dialogue.turns[2].content == (ToolResult("a", "f", (outer, Text("x")), is_error=False), Text("y"))
    assert (dialogue.attachments, dialogue.newest) == (3, "messages.2.")


def test_both_formats_lower_an_image_to_the_same_attachment() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert lower_chat(request).dialogue == read(body(user(picture()))).dialogue


def test_the_newest_message_is_the_users_or_a_tools_even_if_others_follow_it() -> None:
    turns = [user(picture()), assistant("A"), user("B"), {"role": "system", "content": "C"}]
    assert read(body(*turns)).dialogue.newest == "messages.2."
    assert read(body(user("B"))).dialogue.newest == ""

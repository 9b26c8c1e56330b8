"""Images in requests to a server whose model sees: the tiny model of `vision_model`."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from anthropic import Anthropic
from msgspec.structs import replace
from PIL import Image

from conftest import MODEL, body, live_server, user
from controllable_engine import ControllableEngine
from dragoman.conversation import Image as Seen
from dragoman.engines import Capabilities
from dragoman.errors import EngineRefused
from media.pdf_files import scan
from media.pictures import encoded, half, in_base64
from server.http import count, get, post
from vision_model import seeing_engine

RED, BLUE = (encoded(Image.new("RGB", (24, 24), color)) for color in ("red", "blue"))
CUT = encoded(half())[:-40]
REFUSED = "Could not process image: it cannot be decoded. (capability_rejected: image_block)"
PADDING = {"type": "text", "text": "x" * 130_000}
"""Text with which a body is prepared in a worker process."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(seeing_engine(), id=MODEL) as url:
        yield url


def block(data: bytes, kind: str = "image", media_type: str = "image/png") -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": in_base64(data)}}


def asked(*blocks: dict[str, Any]) -> dict[str, Any]:
    return body({"role": "user", "content": list(blocks)}, max_tokens=8, temperature=0)


def answer(url: str, *blocks: dict[str, Any]) -> str:
    return str(post(url, asked(*blocks)).json["content"])


@pytest.mark.clause("IN-2", "CNT-2")
def test_different_pictures_give_different_answers_and_are_counted(url: str) -> None:
    answers = {answer(url, block(data)) for data in (RED, BLUE)}
    assert len(answers) == 2
    usage = post(url, asked(block(RED))).json["usage"]
    assert count(url, asked(block(RED))) == sum(usage[name] for name in usage if name.endswith("input_tokens"))


@pytest.mark.clause("IN-2")
@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_the_format_and_the_declared_type_make_no_difference(url: str, kind: str) -> None:
    assert answer(url, block(encoded(half(), kind), media_type="image/svg+xml")) == answer(url, block(encoded(half())))


@pytest.mark.clause("FIL-4", "IN-2")
def test_an_uploaded_image_is_seen_like_the_same_one_in_the_request(url: str) -> None:
    with Anthropic(base_url=url, api_key="any") as client:
        file = client.files.upload(file=("red.png", RED, "image/png"))
    assert answer(url, {"type": "image", "source": {"type": "file", "file_id": file.id}}) == answer(url, block(RED))
    assert answer(url, block(RED)) != answer(url, block(BLUE))


@pytest.mark.clause("IN-8")
def test_an_image_in_a_result_is_seen(url: str) -> None:
    def looked(data: bytes) -> str:
        call = {"type": "tool_use", "id": "a", "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "a", "content": [block(data)]}
        turns = [user("Look."), {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        return str(post(url, body(*turns, max_tokens=8, temperature=0)).json["content"])

    assert looked(RED) != looked(BLUE)


def test_a_chat_completion_sees_the_same_image(url: str) -> None:
    def chat(data: bytes) -> str:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{in_base64(data)}"}}
        whole = {"model": MODEL, "messages": [{"role": "user", "content": [part]}], "max_tokens": 8, "temperature": 0}
        message = post(url, whole | {"reasoning_effort": "none"}, "/v1/chat/completions").json["choices"][0]["message"]
        return str(message["content"])

    (text,) = post(url, asked(block(RED))).json["content"]
    assert chat(RED) == text["text"] != chat(BLUE)


@pytest.mark.clause("CACHE-4")
def test_the_next_turn_finds_the_image_in_the_cache(url: str) -> None:
    start = {"role": "user", "content": [PADDING | {"text": "A picture: "}, block(encoded(half(), "BMP"))]}
    first = post(url, body(start, max_tokens=4, temperature=0)).json
    sent = {"role": "assistant", "content": first["content"]}
    usage = post(url, body(start, sent, user("Sure?"), max_tokens=4, temperature=0)).json["usage"]
    assert usage["cache_read_input_tokens"] >= count(url, body(start)) - 4


@pytest.mark.clause("CNT-2")
def test_a_large_body_with_an_image_is_answered_like_a_small_one(url: str) -> None:
    padded = [PADDING | {"text": "x " * 1000, "ignored": "x" * 130_000}, block(RED)]
    plain = [PADDING | {"text": "x " * 1000}, block(RED)]
    for _ in range(2):  # at first the image is decoded, then it is known
        assert answer(url, *padded) == answer(url, *plain)


@pytest.mark.clause("IN-5")
def test_a_scanned_page_of_a_pdf_is_an_image(url: str) -> None:
    red, blue = (block(scan(1, 1, color), "document") for color in (b"\xff\0\0", b"\0\0\xff"))
    assert count(url, asked(red)) == count(url, asked(blue))
    assert answer(url, red) != answer(url, blue)


@pytest.mark.clause("IN-3", "CC-8", "ERR-9")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_broken_image_is_refused_with_the_token_that_clients_know(url: str, path: str) -> None:
    refused = post(url, asked(PADDING | {"text": "Look."}, block(CUT)), path)
    assert (refused.status, refused.error[1]) == (
        HTTPStatus.BAD_REQUEST,
        f"messages.0.content.1.image.source.base64.data: {REFUSED}",
    )


@pytest.mark.clause("IN-4", "CC-8")
def test_a_broken_image_in_the_history_is_a_note(url: str) -> None:
    turns = [{"role": "user", "content": [block(CUT)]}, {"role": "assistant", "content": "A dot."}, user("Sure?")]
    assert post(url, body(*turns, max_tokens=4)).status == HTTPStatus.OK


@pytest.mark.clause("MOD-5")
def test_the_list_of_models_says_that_the_model_sees(url: str) -> None:
    model = get(url, "/v1/models").json["data"][0]
    assert model["capabilities"]["image_input"] == model["capabilities"]["pdf_input"] == {"supported": True}


class RefusingEngine(ControllableEngine):
    """An engine that sees, and refuses every request."""

    async def start(self) -> Capabilities:
        return replace(await super().start(), images=True)

    async def image_length(self, image: Seen) -> int:
        return 5


@pytest.mark.clause("CC-8")
def test_images_that_the_engine_refuses_are_a_400_from_which_clients_recover() -> None:
    engine = RefusingEngine()
    engine.fails_at_once, engine.failure = True, EngineRefused("Failed to load image")
    with live_server(engine, id=MODEL) as url:
        refused = post(url, asked(block(RED)))
        assert refused.status == HTTPStatus.BAD_REQUEST
        assert refused.error[1].endswith("Failed to load image (capability_rejected: image_block)")
        assert post(url, body(user("Hi"))).status == HTTPStatus.INTERNAL_SERVER_ERROR

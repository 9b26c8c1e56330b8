"""Images with the real vLLM: the default model with a small image encoder of random numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from anthropic import Anthropic
from anthropic.types import ImageBlockParam, MessageParam

from conftest import registry_of
from dragoman import dialects
from dragoman.conversation import Image
from dragoman.engines.vllm.engine import Vllm
from media.pictures import in_base64
from vision_model import BLUE, RED

from .conftest import connected
from .external_server import SLOTS, STARTS_WITHIN, External
from .installed import seeing_folder
from .messages import GREEDY, WEATHER, create, text_of

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(STARTS_WITHIN * 2)]


@pytest.fixture(scope="module")
def seeing() -> Iterator[Anthropic]:
    """A vLLM server of its own, whose model sees."""
    server = External(seeing_folder, ["--enable-scale-out"])
    server.start()
    try:
        registry = registry_of(Vllm(server.url, Path, slots=SLOTS), dialect=dialects.get("qwen3"))
        with connected(registry) as client:
            yield client
    finally:
        server.stop()


def showing(*images: Image) -> list[MessageParam]:
    """A question about images."""
    shown: list[ImageBlockParam] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": in_base64(image.data)}}
        for image in images
    ]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": "What do you see?"}]}]


@pytest.mark.clause("IN-2", "CNT-2")
def test_images_are_seen_and_counted(seeing: Anthropic) -> None:
    red, blue, again = (create(seeing, showing(image)) for image in (RED, BLUE, RED))
    assert text_of(red) == text_of(again) != text_of(blue)
    none, one, two = (
        seeing.messages.count_tokens(model="claude-local", messages=showing(*images)).input_tokens
        for images in ((), (RED,), (RED, BLUE))
    )
    assert two - one == one - none > 4
    for usage in (red.usage, blue.usage, again.usage):
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == one


@pytest.mark.clause("TOOL-5", "TOK-2")
def test_a_call_about_an_image_is_forced_and_log_probabilities_are_reported(seeing: Anthropic) -> None:
    message = create(seeing, showing(RED), 200, tools=[WEATHER], tool_choice={"type": "any"})
    (call,) = message.content
    assert call.type == "tool_use"
    assert jsonschema_rs.is_valid(WEATHER["input_schema"], call.input)
    sent = {"model": "claude-local", "max_tokens": 8, "messages": showing(RED), "return_logprob": True, **GREEDY}
    scored: Any = seeing.post("/v1/messages", body=sent, cast_to=object)
    assert len(scored["output_token_logprobs"]) == scored["usage"]["output_tokens"]
    assert all(logprob <= 0 for logprob, *_ in scored["output_token_logprobs"])

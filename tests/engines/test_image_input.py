"""What the adapter finds out about a llama-server's images at its start, with fake servers of several ages."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dragoman.conversation import ImageSpan, TextSpan, tokens_of
from dragoman.engines import EngineRequest
from dragoman.engines.llama.server import LlamaServer
from dragoman.errors import EngineRefused
from engines.conftest import GREEDY, collect
from vision_model import BLUE, RED, picture

PROPS = {"default_generation_settings": {"n_ctx": 512}, "total_slots": 1, "bos_token": "<s>", "modalities": {"vision": True}}
LAST = b'data: {"content":"yes","stop":true,"stop_type":"eos","tokens_predicted":1}\n\n'
MARKER = "<__media_of_this_start__>"
SURPLUS = 2
"""Tokens that this server's message format puts between a text and an image."""
LENGTH = 7


class FakeServer:
    """A server that sees; `replies` replace the bodies of paths. `completions` are the bodies of requests."""

    def __init__(self, props: dict[str, Any], replies: dict[str, tuple[int, Any]]) -> None:
        self.replies = {"/props": (200, props), "/v1/models": (200, {"data": [{"id": "eyes"}]}), **replies}
        self.completions: list[dict[str, Any]] = []
        self.counted = 0

    @property
    def marker(self) -> str:
        return str(self.replies["/props"][1].get("media_marker", "<__media__>"))

    async def answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"null")
        if request.path in self.replies:
            status, reply = self.replies[request.path]
            return web.json_response(reply, status=status)
        match request.path:
            case "/tokenize":
                return web.json_response({"tokens": [1] if body.get("add_special") else []})
            case "/v1/messages/count_tokens":
                images = [part for part in body["messages"][0]["content"] if part["type"] == "image"]
                self.counted += len(images)
                return web.json_response({"input_tokens": 10 + (LENGTH + SURPLUS) * len(images)})
            case "/completion":
                if isinstance(body["prompt"], dict) and self.marker not in body["prompt"]["prompt_string"]:
                    return web.json_response({"error": {"message": "Failed to tokenize prompt"}}, status=400)
                self.completions.append(body)
                total = 1 + LENGTH
                progress = b'data: {"prompt_progress":{"total":%d,"cache":0,"processed":0}}\n\n' % total
                return web.Response(body=progress + LAST)
        raise web.HTTPNotFound


@asynccontextmanager
async def started(
    props: Mapping[str, Any] | None = None, **replies: tuple[int, Any]
) -> AsyncGenerator[tuple[FakeServer, LlamaServer, bool]]:
    fake = FakeServer(PROPS | (props or {}), {f"/{path}": reply for path, reply in replies.items()})
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    async with TestServer(app) as server:
        engine = LlamaServer(str(server.make_url("/")))
        try:
            yield fake, engine, (await engine.start()).images
        finally:
            await engine.close()


async def test_a_server_that_sees_is_asked_for_lengths_once_for_each_size() -> None:
    async with started() as (fake, engine, images):
        assert images
        before = fake.counted
        lengths = [await engine.image_length(image) for image in (RED, BLUE, picture(1, 2, 3, 9), RED)]
        assert lengths == [LENGTH] * 4
        assert fake.counted == before + 2


@pytest.mark.parametrize(("props", "marker"), [({"media_marker": MARKER}, MARKER), ({}, "<__media__>")])
async def test_a_prompt_has_the_marker_of_the_server_without_the_token_that_it_adds(props: dict[str, Any], marker: str) -> None:
    async with started(props) as (fake, engine, _):
        spans = [TextSpan(f"<s>I say {marker}: ", [1, 2], 2), ImageSpan(RED, LENGTH), TextSpan("!", [3], 1)]
        await collect(engine, EngineRequest(tokens_of(spans), 4, GREEDY, spans=spans))
        prompt = fake.completions[-1]["prompt"]
    spelled = f"{marker[0]}\u2060{marker[1:]}"
    assert prompt["prompt_string"] == f"I say {spelled}: {marker}!"
    assert len(prompt["multimodal_data"]) == 1


async def test_a_server_that_was_restarted_gets_its_new_marker() -> None:
    async with started({"media_marker": MARKER}) as (fake, engine, _):
        fake.replies["/props"] = (200, PROPS | {"media_marker": "<__media_of_the_next__>"})
        spans = [ImageSpan(RED, LENGTH), TextSpan("!", [3], 1)]
        await collect(engine, EngineRequest(tokens_of(spans), 4, GREEDY, spans=spans))
        assert fake.completions[-1]["prompt"]["prompt_string"] == "<__media_of_the_next__>!"


async def test_a_refusal_that_the_marker_does_not_explain_is_raised() -> None:
    async with started({"media_marker": MARKER}) as (fake, engine, _):
        fake.replies["/completion"] = (400, {"error": {"message": "Failed to load image or audio file"}})
        spans = [ImageSpan(RED, LENGTH)]
        with pytest.raises(EngineRefused, match="Failed to load image"):
            await collect(engine, EngineRequest(tokens_of(spans), 4, GREEDY, spans=spans))


@pytest.mark.parametrize(
    "replies",
    [
        {"v1/messages/count_tokens": (404, {"error": {"message": "File Not Found"}})},
        {"tokenize": (200, {"tokens": [1, 2]})},
        {"completion": (400, {"error": {"message": "Failed to load image or audio file"}})},
        {"completion": (200, {"content": "no progress"})},
    ],
)
async def test_a_server_whose_images_cannot_be_counted_sees_none(
    replies: dict[str, tuple[int, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    async with started(**replies) as (_, _, images):
        assert not images
    assert "images are not used" in caplog.text


@pytest.mark.parametrize("modalities", [{}, {"vision": False, "audio": True}])
async def test_a_server_that_does_not_see_is_not_asked_about_images(modalities: dict[str, bool]) -> None:
    async with started({"modalities": modalities}) as (fake, _, images):
        assert not images
        assert fake.counted == 0

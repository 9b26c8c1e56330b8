"""Requests with an image, and engines whose models see."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from conftest import body, live_server
from dragoman.conversation import Image
from dragoman.engines.sglang.engine import SGLang
from dragoman.models.tokenizer_folder import ModelFolder
from engines.folders import TEMPLATE, model_folder
from engines.remote.test_sglang_images import NOTATION, SeeingUpstream
from media.pictures import in_base64
from server.http import post
from vision_model import seeing_engine

SEEING_TEMPLATE = TEMPLATE.replace(
    "{{ message.content }}",
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}" + NOTATION + "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}",
)

Seen = Callable[[Image], object]
"""What a model sees of an image: equal for equal images only."""


def showing(image: Image) -> dict[str, Any]:
    """The messages of a request with an image."""
    source = {"type": "base64", "media_type": image.media_type, "data": in_base64(image.data)}
    return {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}


@contextmanager
def _llama(_: Path) -> Iterator[Seen]:
    """The tiny model that sees, whose answers depend on every pixel."""
    with live_server(seeing_engine(), id="scripted") as url:
        yield lambda image: post(url, body(**showing(image), temperature=0)).json["content"]


@contextmanager
def _sglang(folder: Path) -> Iterator[Seen]:
    """A stand-in that keeps the images that it is sent."""
    upstream = SeeingUpstream(model_folder(folder, chat_template=SEEING_TEMPLATE))
    SeeingUpstream.notation[:] = asyncio.run(ModelFolder(folder).tokenize(NOTATION))
    upstream.start_upstream()

    def seen(image: Image) -> object:
        post(url, body(**showing(image)))
        return upstream.received[-1].body["image_data"]

    with live_server(SGLang(upstream.url, Path), id="scripted") as url:
        yield seen
    upstream.stop_upstream()


SEEING: Mapping[str, Callable[[Path], AbstractContextManager[Seen]]] = {
    "llama-server": _llama,
    "llama-server, gbnf": _llama,
    "sglang": _sglang,
}
"""By the name of an engine in engine_cases.py: that engine with a model that sees; it may write to the folder."""

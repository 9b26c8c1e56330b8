"""Requests with an image, and engines whose models see."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from conftest import body, live_server
from dragoman.conversation import Image
from dragoman.engines.lmdeploy.engine import LMDeploy
from dragoman.engines.sglang.engine import SGLang
from dragoman.engines.token_endpoint import TokenEndpoint
from dragoman.engines.vllm.engine import Vllm
from engines.remote.seeing import (
    SeeingLMDeploy,
    SeeingLMDeployParsing,
    SeeingSGLang,
    SeeingUpstream,
    SeeingVllm,
    SeeingVllmGuidance,
    images_in,
    seeing_folder,
)
from media.pictures import in_base64
from server.http import post
from vision_model import seeing_engine

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
def _remote(engine: type[TokenEndpoint], kind: type[SeeingUpstream], folder: Path) -> Iterator[Seen]:
    """A stand-in that keeps the images that it is sent."""
    upstream = kind(seeing_folder(folder))
    upstream.start_upstream()

    def seen(image: Image) -> object:
        post(url, body(**showing(image)))
        return images_in(upstream.received[-1].body)

    with live_server(engine(upstream.url, Path), id="scripted") as url:
        yield seen
    upstream.stop_upstream()


SEEING: Mapping[str, Callable[[Path], AbstractContextManager[Seen]]] = {
    "llama-server": _llama,
    "llama-server, gbnf": _llama,
    "vllm": partial(_remote, Vllm, SeeingVllm),
    "vllm, guidance": partial(_remote, Vllm, SeeingVllmGuidance),
    "sglang": partial(_remote, SGLang, SeeingSGLang),
    "lmdeploy": partial(_remote, LMDeploy, SeeingLMDeploy),
    "lmdeploy, generate": partial(_remote, LMDeploy, SeeingLMDeployParsing),
}
"""By the name of an engine in engine_cases.py: that engine with a model that sees; it may write to the folder."""

"""`--vision-model`: a second model describes images for one that does not see."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from PIL import Image

from conftest import MODEL, body, live_registry, live_server, registry_of
from controllable_engine import ControllableEngine
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.media.vision import Vision, VisionServer
from dragoman.server.models import vision_model
from dragoman.server.models.vision_model import VisionModel
from media.pictures import encoded, in_base64
from server.http import count, get, post
from vision_model import seeing_engine

RED, BLUE = (encoded(Image.new("RGB", (24, 24), color)) for color in ("red", "blue"))


def shown(*pictures: bytes) -> dict[str, Any]:
    sources = ({"type": "base64", "media_type": "image/png", "data": in_base64(data)} for data in pictures)
    return body({"role": "user", "content": [{"type": "image", "source": source} for source in sources]})


@contextmanager
def vision_server() -> Iterator[Vision]:
    with live_server(seeing_engine(), id="sees") as url:
        yield VisionServer(url)


@pytest.mark.parametrize(
    "vision",
    [
        pytest.param(vision_server, id="server", marks=pytest.mark.slow),
        pytest.param(lambda: nullcontext(VisionModel(seeing_engine())), id="model"),
    ],
)
def test_images_are_described_and_counted(
    vision: Callable[[], AbstractContextManager[Vision]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_model, "_POLICY", replace(vision_model._POLICY, max_tokens=200))  # a random model rambles
    engine = ControllableEngine()
    with vision() as describes, live_registry(registry_of(engine, vision=describes, id=MODEL)) as url:
        for pictures in ((RED,), (BLUE,), (RED,)):
            usage = post(url, shown(*pictures)).json["usage"]
            assert count(url, shown(*pictures)) == sum(usage[name] for name in usage if name.endswith("input_tokens")) > 100
        red, blue, again = engine.prompts
        assert red == again != blue
        model = get(url, "/v1/models").json["data"][0]
        assert model["capabilities"]["image_input"] == {"supported": True}


@pytest.mark.slow
@pytest.mark.parametrize("answer", [Line(""), Line("", finish_reason="error")])
def test_without_a_description_the_request_is_answered(answer: Line) -> None:
    with live_server(ScriptedEngine([answer])) as other:
        for url in (other, "http://127.0.0.1:9"):
            engine = ControllableEngine()
            with live_registry(registry_of(engine, vision=VisionServer(url), id=MODEL)) as served:
                assert post(served, shown(RED)).status == HTTPStatus.OK

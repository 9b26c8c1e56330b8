"""Compares the time to the first token with an image of 1 megapixel, over the same engine process as llama.cpp's own surface.

The model is the default one, with a projector of random numbers that is as large as that of SmolVLM 256M, which has the same
language model: so both sides take as long as with a real model.
"""

import base64
import struct
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

from bench.client import connect, stream
from bench.processes import KEY, dragoman, llama_server
from bench.report import Row
from bench.rivals import Figure, Figures, Side, contest

SIDE = 1024
_IMAGES = 5
_TESTS = Path(__file__).parents[1] / "tests"


async def measure(runs: int) -> list[Row]:
    """Measure every figure `runs` times, both sides in turns."""
    sys.path.insert(0, str(_TESTS))
    from vision_model import real_sized_projector  # noqa: PLC0415 -- only this part needs the tests

    with (
        llama_server(2, 8192, projector=real_sized_projector()) as engine,
        dragoman("--engine", "llama-server", "--engine-url", engine, "--engine-key", KEY) as (url, _),
    ):
        taken = await contest(Side(url), Side(engine), _turns, _nothing, runs)
    return [figure.row(taken, "llama.cpp's own") for figure in _FIGURES]


async def _nothing(_side: Side) -> Figures:
    return {}


async def _turns(side: Side) -> Figures:
    fresh, second = 0.0, 0.0
    async with connect(side.url) as session:
        for _ in range(_IMAGES):
            first = [{"role": "user", "content": [_image(), {"type": "text", "text": "What is this?"}]}]
            answer = [{"role": "assistant", "content": "A picture."}, {"role": "user", "content": "Sure?"}]
            fresh += (await stream(session, _asking(first))).first_delta
            second += (await stream(session, _asking([*first, *answer]))).first_delta
    return dict(zip((figure.name for figure in _FIGURES), (fresh / _IMAGES, second / _IMAGES), strict=True))


def _asking(messages: list[Any]) -> dict[str, Any]:
    return {"model": "claude-bench", "max_tokens": 4, "temperature": 0, "messages": messages}


def _image() -> dict[str, Any]:
    """A picture of about a megabyte, which no cache has."""
    numbers = Random()
    line = numbers.randbytes(3 * SIDE)
    rows = b"".join(b"\0" + line[row % 300 :] + line[: row % 300] for row in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts]
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


_FIGURES = (
    Figure("first token, an image of 1 megapixel, fresh", "ms", "<= 1.05"),
    Figure("first token, the same in the second turn", "ms", "<= +20 ms", difference=True),
)

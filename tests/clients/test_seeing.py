"""Pictures and PDFs by the official SDKs and Claude Code, as their users send them, to the tiny model that sees."""

import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from msgspec import structs
from openai import OpenAI

from conftest import MODEL, live_registry, live_server, registry_of
from dragoman.constraints.tree import Constraint, Literal, Pattern
from dragoman.conversation import Image, Sampling
from dragoman.conversation.spans import ImageSpan
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.llama.embedded import EmbeddedLlama
from media.pdf_files import scan, text_pdf
from media.pictures import in_base64
from vision_model import PROJECTOR, seeing_engine, vision_model

from .claude_code import ClaudeCode
from .conftest import sdk
from .network_sandbox import network_sandbox
from .pictures import RED, color_of, write_picture
from .session import call

pytestmark = pytest.mark.slow

BLUE = (0, 0, 255)
ASK = "What is it?"
LETTERS = "[a-z]{12}"
SHORT_PROMPT = "--system-prompt", "Look.", "--tools", "Read"
"""Among the 12,000 tokens of its own prompt, the four of a picture change next to nothing for a random model."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(seeing_engine(), id=MODEL) as url:
        yield url


@pytest.fixture(scope="module")
def anthropic(url: str) -> Iterator[Anthropic]:
    with sdk(url) as client:
        yield client


@pytest.fixture(scope="module")
def openai(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with two pictures, two scans and a text."""
    for name, color in (("red", RED), ("blue", BLUE)):
        write_picture(tmp_path / f"{name}.png", color)
        (tmp_path / f"{name}.pdf").write_bytes(scan(1, 1, bytes(color)))
    (tmp_path / "text.pdf").write_bytes(text_pdf(b"It rains in Ulm."))
    return tmp_path


def message(client: Anthropic, kind: str, media_type: str, file: Path) -> Any:
    """The answer to a file, which the SDK reads itself."""
    block = {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": file}}
    turns: Any = [{"role": "user", "content": [block, {"type": "text", "text": ASK}]}]
    answer = client.messages.create(model=MODEL, max_tokens=8, messages=turns, extra_body={"temperature": 0})
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == _counted(client, turns)
    return answer.content


def _counted(client: Anthropic, turns: Any) -> int:
    return client.messages.count_tokens(model=MODEL, messages=turns).input_tokens


@pytest.mark.clause("IN-2", "CNT-2")
def test_the_anthropic_sdk_sends_files_of_pictures(anthropic: Anthropic, files: Path) -> None:
    red, blue, again = (message(anthropic, "image", "image/png", files / f"{name}.png") for name in ("red", "blue", "red"))
    assert red == again != blue


@pytest.mark.clause("IN-5", "CNT-2")
def test_the_anthropic_sdk_sends_files_of_pdfs(anthropic: Anthropic, files: Path) -> None:
    answers = [message(anthropic, "document", "application/pdf", files / f"{name}.pdf") for name in ("red", "blue", "text")]
    assert all(answers.count(answer) == 1 for answer in answers)


def chat(client: OpenAI, *messages: Any) -> str:
    answer = client.chat.completions.create(
        model=MODEL, max_tokens=8, temperature=0, messages=list(messages), extra_body={"reasoning_effort": "none"}
    )
    return answer.choices[0].message.content or ""


def picture(file: Path) -> Any:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{in_base64(file.read_bytes())}"}}


def document(file: Path) -> Any:
    data = f"data:application/pdf;base64,{in_base64(file.read_bytes())}"
    return {"type": "file", "file": {"filename": file.name, "file_data": data}}


def asked(part: Any) -> Any:
    return {"role": "user", "content": [part, {"type": "text", "text": ASK}]}


def test_the_openai_sdk_sends_pictures_and_files(openai: OpenAI, files: Path) -> None:
    parts = [
        *(picture(files / name) for name in ("red.png", "blue.png")),
        *(document(files / name) for name in ("red.pdf", "text.pdf")),
    ]
    answers = [chat(openai, asked(part)) for part in parts]
    assert all(answers.count(answer) == 1 for answer in answers)
    assert chat(openai, asked(parts[0])) == answers[0]


def test_the_openai_sdk_sends_them_in_results_of_tools(openai: OpenAI, files: Path) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}

    def after(part: Any) -> str:
        turns = [{"role": "user", "content": "Look."}, {"role": "assistant", "tool_calls": [call]}]
        return chat(openai, *turns, {"role": "tool", "tool_call_id": "call_1", "content": [part]})

    parts = picture(files / "red.png"), picture(files / "blue.png"), document(files / "text.pdf")
    assert len({after(part) for part in parts}) == len(parts)


class ReadingModel(EmbeddedLlama):
    """The tiny model that sees, held to a call of Read until there is a picture in its prompt, and then to some letters."""

    def __init__(self, file: str) -> None:
        model = vision_model()
        super().__init__(model, parallel=1, projector=model.with_name(PROJECTOR))
        self._call = call(("Read", {"file_path": file}))
        self.seen: list[Image] = []
        self.logprobs: list[list[float | None]] = []  # of the letters

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        images = [span.image for span in request.spans if isinstance(span, ImageSpan)]
        self.seen += images
        held = Constraint(Pattern(LETTERS), key=LETTERS) if images else Constraint(Literal(self._call), key=self._call)
        asked = structs.replace(request, sampling=Sampling(temperature=0), constraint=held, top=0)
        logprobs: list[float | None] = []
        if images:
            self.logprobs.append(logprobs)
        async for chunk in super().generate(asked):
            logprobs += [each.logprob for each in chunk.logprobs]
            yield structs.replace(chunk, logprobs=())


@pytest.mark.timeout(600)  # the first run installs the client
@pytest.mark.clause("IN-4", "IN-5", "CC-1")
@pytest.mark.parametrize("file", ["picture.png", "scan.pdf"])
def test_claude_code_shows_the_model_what_it_reads(tmp_path: Path, file: str) -> None:
    engine = ReadingModel(file)
    registry = registry_of(engine, id=MODEL)
    with network_sandbox() as sandbox, live_registry(registry, listener=sandbox.listener):
        claude = ClaudeCode(sandbox, tmp_path, MODEL)

        def answer(color: tuple[int, int, int]) -> str:
            if file.endswith(".png"):
                write_picture(claude.project / file, color)
            else:
                (claude.project / file).write_bytes(scan(1, 1, bytes(color)))
            return claude.run(ASK, *SHORT_PROMPT).answer

        answers = answer(RED), answer(BLUE), answer(RED)
    assert all(re.fullmatch(LETTERS, each) for each in answers)
    assert [color_of(image) for image in engine.seen] == [RED, BLUE, RED]
    red, blue, again = engine.logprobs
    assert again[0] == pytest.approx(red[0], abs=2e-3)
    assert blue != pytest.approx(red, abs=2e-3)  # some of them differ by more; a single one may not

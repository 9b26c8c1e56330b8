"""A session of Claude Code with a scripted model, and the requests that pass between them."""

import subprocess
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import structs

from conftest import MODEL
from dragoman import dialects
from dragoman.conversation import Image
from dragoman.conversation.spans import ImageSpan, is_text_token
from dragoman.conversation.types import ToolCall
from dragoman.dialects import Dialect
from dragoman.engines import Capabilities, EngineRequest, OutputChunk
from dragoman.engines.scripted import Line, ScriptedEngine

from .claude_code import ClaudeCode, Transcript, read_transcript
from .codex import Codex
from .recorder import Recorder

_IMAGE_TOKENS = 4
MIN_REUSE = 0.95
"""The share of a prompt that the next one must begin with if only a turn was added."""


class RecordingEngine(ScriptedEngine):
    """Replays a script and records the prompts, and of each the images. With `sees`, images reach it."""

    def __init__(self, script: Sequence[Line], window: int = 200_000, *, sees: bool = False) -> None:
        super().__init__(script, model=MODEL, window=window)
        self._sees = sees
        self.prompts: list[Sequence[int]] = []
        self.images: list[Sequence[Image]] = []

    async def start(self) -> Capabilities:
        return structs.replace(await super().start(), images=self._sees)

    async def image_length(self, image: Image) -> int:
        return _IMAGE_TOKENS

    def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.prompts.append(request.tokens)
        self.images.append([span.image for span in request.spans if isinstance(span, ImageSpan)])
        return super().generate(structs.replace(request, tokens=[token for token in request.tokens if is_text_token(token)]))

    def reused(self) -> list[float]:
        """The share of each prompt that the next one begins with."""
        return [_shared(before, after) / len(before) for before, after in pairwise(self.prompts)]


def _shared(before: Sequence[int], after: Sequence[int]) -> int:
    """The number of tokens in the common prefix."""
    return next((number for number, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))


@dataclass(frozen=True, slots=True)
class Session:
    """A client, the recorder of its requests, and the engine."""

    claude: ClaudeCode
    recorder: Recorder
    engine: RecordingEngine

    @property
    def project(self) -> Path:
        return self.claude.project

    def messages(self) -> list[dict[str, Any]]:
        """The messages of the latest request."""
        return list(self.recorder.messages[-1].body["messages"])

    def blocks(self, kind: str) -> list[Mapping[str, Any]]:
        """The blocks of one type in the latest request."""
        contents = [message["content"] for message in self.messages() if isinstance(message["content"], list)]
        return [block for content in contents for block in content if block["type"] == kind]


SILENCE_S = 310
"""Longer than the client waits for a stream without any bytes: it disconnects after 300 s and retries."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A running session with a client that waits for the answer."""

    session: Session
    client: "subprocess.Popen[str]"

    def end(self) -> Transcript:
        """Wait for the client's end and return its transcript."""
        return read_transcript(self.client, SILENCE_S + 60)


StartSession = Callable[..., Session]


@dataclass(frozen=True, slots=True)
class CodexSession:
    """Codex, the recorder of its requests, and the engine."""

    codex: Codex
    recorder: Recorder
    engine: RecordingEngine

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the latest request."""
        return list(self.recorder.responses[-1].body["input"])

    def texts(self, role: str) -> list[str]:
        """The texts of the messages with a role in the latest request."""
        messages = [item for item in self.items if item.get("role") == role]
        return [part["text"] for message in messages for part in message["content"] if "text" in part]


StartCodex = Callable[..., CodexSession]


def call(*calls: tuple[str, Mapping[str, Any]], dialect: Dialect = dialects.DEFAULT) -> str:
    """The text with which a model calls those tools."""
    return dialect.encode_calls([ToolCall("", name, tool_input) for name, tool_input in calls])

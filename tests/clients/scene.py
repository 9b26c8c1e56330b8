"""A scene: a client, a model that says what the script tells it to, and everything that passes between them."""

import subprocess
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from conftest import MODEL
from dragoman import dialects
from dragoman.conversation.types import ToolCall
from dragoman.dialects import Dialect
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.scripted import Line, ScriptedEngine

from .claude_code import ClaudeCode, Told, heard_from
from .recorder import Recorder

STANDS = 0.95
"""The share of a prompt that the next one must begin with, where nothing but a turn was added."""


class Attentive(ScriptedEngine):
    """Replays a script, and remembers the prompts."""

    def __init__(self, script: Sequence[Line], window: int) -> None:
        super().__init__(script, model=MODEL, window=window)
        self.prompts: list[Sequence[int]] = []

    def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.prompts.append(job.tokens)
        return super().generate(job)

    def reused(self) -> list[float]:
        """How much of each prompt the next one begins with."""
        return [_shared(before, after) / len(before) for before, after in pairwise(self.prompts)]


def _shared(before: Sequence[int], after: Sequence[int]) -> int:
    """The number of tokens that both begin with."""
    return next((number for number, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))


@dataclass(frozen=True, slots=True)
class Scene:
    """A user in front of the client, and what the server heard."""

    claude: ClaudeCode
    heard: Recorder
    model: Attentive

    @property
    def project(self) -> Path:
        return self.claude.project

    def turns(self) -> list[dict[str, Any]]:
        """The messages of the latest request."""
        return list(self.heard.messages[-1].body["messages"])

    def said(self, kind: str) -> list[Mapping[str, Any]]:
        """The blocks of one type in the latest request."""
        contents = [turn["content"] for turn in self.turns() if isinstance(turn["content"], list)]
        return [block for content in contents for block in content if block["type"] == kind]


SILENCE_S = 310
"""Longer than the client bears a stream in which nothing comes at all: then it leaves after 300 s, and asks again."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A scene that began long ago, with a client that waits in it."""

    scene: Scene
    client: "subprocess.Popen[str]"

    def end(self) -> Told:
        """What the client wrote when it was over."""
        return heard_from(self.client, SILENCE_S + 60)


Play = Callable[..., Scene]


def call(*calls: tuple[str, Mapping[str, Any]], dialect: Dialect = dialects.DEFAULT) -> str:
    """What a model writes to call those tools."""
    return dialect.encode_calls([ToolCall("", name, tool_input) for name, tool_input in calls])

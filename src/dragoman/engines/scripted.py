"""An engine that replays scripted text: for tests, demonstrations and client development without a model.

A script is JSON lines, one `Line` each. The first line whose `when` occurs in the last 2,000 characters of the prompt is
replayed, as often as it matches; otherwise the lines without `when` are replayed in order, and again from the first after the
last. Tokens are words. Constraints are not enforced: under a forced `tool_choice` a line should be a call. Log-probabilities,
where they are asked for, are made up from the tokens' ids.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from dragoman.engines.base import (
    Capabilities,
    Engine,
    EngineKind,
    EngineRequest,
    Finish,
    FinishReason,
    OutputChunk,
    PrefillProgress,
)
from dragoman.errors import EngineFailed
from dragoman.parts import LikelyToken, LogProb

_WORD = re.compile(r"\s*\S+|\s+")
_WHEN_CHARACTERS = 2000
_CHUNKS_BETWEEN_YIELDS = 32


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One answer: the model's raw `output`, split into chunks of `chunk` characters (0: one chunk).

    `delay_ms` passes before each chunk. With `finish_reason` "error" the engine fails after the output.
    """

    output: str
    when: str | None = None
    finish_reason: Literal["stop", "length", "error"] = "stop"
    chunk: Annotated[int, Meta(ge=0)] = 4
    delay_ms: Annotated[float, Meta(ge=0)] = 0

    def chunks(self, limit: int) -> Iterator[OutputChunk]:
        """The output up to `limit` words; a word counts where it begins."""
        starts = [match.start() for match in _WORD.finditer(self.output)]
        end = starts[limit] if limit < len(starts) else len(self.output)
        step = self.chunk or max(end, 1)
        words = 0
        for begin in range(0, end, step):
            stop = min(begin + step, end)
            known = words
            while words < len(starts) and starts[words] < stop:
                words += 1
            yield OutputChunk(self.output[begin:stop], words - known)
        cut = end < len(self.output) or limit == 0 or self.finish_reason == "length"
        yield OutputChunk(finish=Finish(FinishReason.LENGTH if cut else FinishReason.STOP))


class BadScript(ValueError):
    """Raised for a script that cannot be read; the message names the file and the line."""


def read_script(path: Path) -> list[Line]:
    """The lines of a script file. Raises `BadScript`."""
    try:
        sources = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScript(f"{path}: {error}") from error
    lines = []
    for number, source in enumerate(sources, 1):
        if source.strip():
            try:
                lines.append(msgspec.json.decode(source, type=Line))
            except msgspec.DecodeError as error:
                raise BadScript(f"{path}, line {number}: {error}") from error
    if not lines:
        raise BadScript(f"{path}: the script has no lines")
    return lines


class ScriptedEngine(Engine):
    """Replays `script`. Its vocabulary is every word seen so far, so token ids stay valid for its lifetime."""

    def __init__(
        self,
        script: Sequence[Line],
        *,
        model: str = "scripted",
        window: int = 200_000,
        slots: int = 64,
        constrains: bool = True,
    ) -> None:
        self._conditional = [line for line in script if line.when is not None]
        in_order = [line for line in script if line.when is None]
        self._in_order = cycle(in_order) if in_order else None
        self._capabilities = Capabilities(
            model=model,
            window=window,
            slots=slots,
            constrains=constrains,
            token_ids=True,
            logprobs=True,
            prompt_logprobs=True,
            kind=EngineKind.SCRIPTED,
        )
        self._ids: dict[str, int] = {}
        self.words: list[str] = []
        """The words by their ids."""

    async def start(self) -> Capabilities:
        """Return the capabilities; there is nothing to start."""
        return self._capabilities

    @property
    def vocabulary(self) -> int:
        """The number of words seen so far."""
        return len(self.words)

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """One id per word, including the space before it."""
        return [self._id(word) for word in _WORD.findall(text)]

    def _id(self, word: str) -> int:
        if word not in self._ids:
            self._ids[word] = len(self.words)
            self.words.append(word)
        return self._ids[word]

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        """Replay the line that matches the prompt."""
        line = self._line(request.tokens)
        yield OutputChunk(prefill=PrefillProgress(total=len(request.tokens), cached=0, done=len(request.tokens)))
        for number, chunk in zip(count(), self.reported(request, line), strict=False):
            if line.delay_ms and chunk.text:
                await asyncio.sleep(line.delay_ms / 1000)
            elif number % _CHUNKS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)  # let other tasks run
            if chunk.finish is not None and line.finish_reason == "error":
                raise EngineFailed("the script says that the engine fails here")
            yield chunk

    def reported(self, request: EngineRequest, line: Line) -> Iterator[OutputChunk]:
        """The chunks of a line, with the ids and the log-probabilities that the request asks for, where each word begins."""
        if not request.ids and request.top is None:
            yield from line.chunks(request.limit)
            return
        words = iter(_WORD.findall(line.output))
        for chunk in line.chunks(request.limit):
            ids = [self._id(word) for word in islice(words, chunk.output)]
            logprobs = [] if request.top is None else [self._log_prob(token, request.top) for token in ids]
            yield replace(chunk, ids=ids, logprobs=logprobs)

    def _log_prob(self, token: int, top: int) -> LogProb:
        """A log-probability, made up from the id; the token is the likeliest, then come the words with the ids before it."""
        logprob = -(1 + token % 7) / 8
        others = range(token, max(token - top, -1), -1)  # known words, so that they are the same each time
        data = [self.words[other].encode() for other in others]
        likely = [LikelyToken(each.decode(), each, logprob - place) for place, each in enumerate(data)]
        return LogProb(self.words[token], self.words[token].encode(), logprob, likely)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The words."""
        return "".join(self.words[token] for token in tokens)

    async def score(self, tokens: Sequence[int], top: int) -> Sequence[LogProb]:
        """Log-probabilities, made up from the ids."""
        first, *others = [self._log_prob(token, top) for token in tokens]
        return [replace(first, logprob=None, top=()), *others]

    def _line(self, tokens: Sequence[int]) -> Line:
        tail = self._tail(tokens)
        for line in self._conditional:
            if line.when is not None and line.when in tail:
                return line
        if self._in_order is None:
            raise EngineFailed("the script has no line for this prompt")
        return next(self._in_order)

    def _tail(self, tokens: Sequence[int]) -> str:
        words: list[str] = []
        length = 0
        for token in reversed(tokens):
            words.append(self.words[token])
            length += len(words[-1])
            if length >= _WHEN_CHARACTERS:
                break
        return "".join(reversed(words))[-_WHEN_CHARACTERS:]

    async def close(self) -> None:
        """Do nothing: there are no resources to release."""

"""LMDeploy, by one of its token doors: ids in, text out. `lmdeploy_doors` has the words.

What the server does, and this file has to know:

- Its parsers stand behind the chat door. Without `--tool-call-parser` and `--reasoning-parser` they let text pass as it is, but
  GPT-OSS models always have one. Where the chat door gives no text and the other one does, the other one is taken.
- It says nowhere how large its window is: the model's settings do, or whoever started it.
- A closed connection ends the work.
- It holds answers to a JSON schema, and has nothing for the text around them: calls it cannot hold.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from dragoman.constraints.lark import relaxed
from dragoman.constraints.tree import Constraint, Json
from dragoman.conversation import Sampling
from dragoman.engines.base import EngineKind, EngineRequest
from dragoman.engines.constraint_fallbacks import ConstraintFallbacks, ConstraintForm
from dragoman.engines.lmdeploy.endpoints import AnswerReader, ChatDoor, Door, GenerateDoor
from dragoman.engines.sampling import resolved
from dragoman.engines.token_endpoint import ProbeResult, ServedModel, TokenEndpoint
from dragoman.errors import EngineFailed

_GREEDY: Final = Sampling(temperature=0.0)
_TRIAL: Final = "2+2="
_TRIAL_TOKENS: Final = 8
_FORMAT: Final = {"type": "string", "enum": ["Q"]}
_FORMAT_ANSWER: Final = '"Q"'


class LMDeploy(TokenEndpoint):
    """An LMDeploy server. `window` is its `--session-len`, where the model's settings do not say it.

    It takes up 128 jobs at once, unless it was told otherwise; it does not say. What is more waits there.
    """

    kind = "LMDeploy"
    usual_slots = 128

    async def probe_server(self) -> ProbeResult:
        """Which door gives text, and whether it holds an output format."""
        self.forms = Formats()
        self._door = await self._open_door()
        is_chat = isinstance(self._door, ChatDoor)
        formats = is_chat and await self._holds_formats()
        return ProbeResult(
            kind=EngineKind.LMDEPLOY if is_chat else EngineKind.LMDEPLOY_GENERATE,
            formats=formats,
            variants=is_chat,
            found={
                "window": f"{self.window} tokens, as {'--context-length' if self._most else 'config.json'} says",
                "door": self._door.path if is_chat else f"{self._door.path}, without seeds: behind the other one is a parser",
                "constraints": f"{'output formats' if formats else 'none'}: a forced call is begun in the prompt, and checked",
                "cached tokens": "told at the end" if is_chat else "not told at this door",
            },
        )

    def its_window(self, served: ServedModel) -> int:
        """As whoever started it says, else as the model's settings do."""
        window = self._most or self.folder.window
        if window is None:
            raise EngineFailed(f"{self._http.name} does not say how large its window is: give --context-length N")
        return window

    def variants(self, others: list[ServedModel]) -> list[ServedModel]:
        """All other names are: their parent is not told."""
        return others

    async def _open_door(self) -> Door:
        """The first door that gives text; if the model has none to give, the first that opens. Raises `EngineFailed`."""
        silent: list[Door] = []
        refusals: list[EngineFailed] = []
        for door in (ChatDoor(), GenerateDoor()):
            try:
                if await self._trial(door):
                    return door
                silent.append(door)
            except EngineFailed as error:
                refusals.append(error)
        if not silent:
            raise EngineFailed(f"{refusals[0].message} (a trial of its doors with input_ids)") from refusals[0]
        return silent[0]

    async def _holds_formats(self) -> bool:
        """Does the server hold a schema?"""
        try:
            return await self._trial(ChatDoor(), _format(_FORMAT)) == _FORMAT_ANSWER
        except EngineFailed:
            return False

    async def _trial(self, door: Door, held: ConstraintForm = UNSET) -> str:
        """What is said to a small job."""
        job = EngineRequest(await self.tokenize(_TRIAL), _TRIAL_TOKENS, _GREEDY)
        reader, said = door.reader(), ""
        async with self._http.work(door.path, door.body(self.model, job, resolved(_GREEDY, {}), held)) as answer:
            async for data in answer:
                said += "".join(piece.text for piece in reader.feed(data))
        if not reader.finished:
            raise self._http.lost()
        return said

    def posted(self, job: EngineRequest, held: ConstraintForm = UNSET) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The answer to a job, once it was checked and taken."""
        body = self._door.body(self.model, job, resolved(job.sampling, self.folder.recommended), held)
        return self._http.work(self._door.path, body, affinity=job.affinity)

    def reader(self, job: EngineRequest) -> AnswerReader:
        """One for each job."""
        return self._door.reader(silent=job.limit == 0)


class Formats(ConstraintFallbacks):
    """JSON schemas, and nothing else."""

    async def make(self, constraint: Constraint, step: int) -> Raw:
        """What is sent as `response_format`."""
        if not isinstance(constraint.root, Json):
            raise EngineFailed("what the request asks for cannot be held: LMDeploy holds JSON, and no text around it")
        return _format(relaxed(constraint.root.schema, step))


def _format(schema: Mapping[str, Any]) -> Raw:
    return Raw(msgspec.json.encode({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}))

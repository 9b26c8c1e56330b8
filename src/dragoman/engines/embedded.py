"""The embedded engine: llama.cpp in a child process of our own, so that a crash in C++ is a restart and not an outage.

    start ──▶ loading ──▶ ready ───────────▶ closed
                           │ ▲                 ▲
        the child has died ▼ │                 │ close
                         restarting ───────────┘

One task, the supervisor, waits for the child to die and brings up the next, with a pause before each attempt that doubles
from 0.5 s to 30 s and starts over once a child has lived for a minute. Work that was in flight fails; work that comes in
between waits, for 30 s at most. Every child has a socket of its own in one private directory, so that none is mistaken for
the one before it.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from dragoman.engines.base import Capabilities, Engine, Job, Piece
from dragoman.engines.gguf import trained_window
from dragoman.engines.llama import LlamaServer, Slot
from dragoman.engines.llama_child import ChildConfig, Listening
from dragoman.errors import EngineError, EngineFailed, EngineUnavailable

LARGEST_DEFAULT_WINDOW: Final = 32_768
"""Tokens per slot where none are asked for and the model has more: memory is taken for all of them, for every slot, at once."""

_PATIENCE: Final = 30.0
"""Seconds that work waits for an engine that is being restarted."""
_ATTEMPTS: Final = 2
"""How many children a job may be given to: one that kills them must not kill them all."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY: Final = 60.0
"""Seconds after which a child counts as one that works."""
_GRACE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes; the system's own limit is 104 or 108."""
_LAST_WORDS: Final = 50
_NAME: Final = "the engine"
_NOT_BACK: Final = "the engine is being restarted"
_LOST: Final = "the engine stopped while it was working; it is being restarted"

_log = logging.getLogger(__name__)


class Status(StrEnum):
    """Where the embedded engine stands."""

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    CLOSED = "closed"


class EmbeddedLlama(Engine):
    """A GGUF file, served by llama.cpp from the xllamacpp wheel.

    `context` is in tokens per slot; 0 means the window the model was trained for, but at most `LARGEST_DEFAULT_WINDOW`. More
    than the trained window is cut to it, with a warning. `parallel` is the number of slots.
    """

    def __init__(
        self, model: Path, *, name: str | None = None, context: int = 0, parallel: int = 4, threads: int | None = None
    ) -> None:
        self.model = model
        self.name = name or model.stem
        self.context = _window(model, context)
        self.parallel = parallel
        self.threads = threads or _cores()
        self._status = Status.LOADING
        self.restarts = 0
        self._children = 0
        self._home: Path | None = None
        self._child: _Child | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # ready, or closed for good

    @property
    def status(self) -> Status:
        """Where the engine stands."""
        return self._status

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none that serves."""
        return self._child.process.pid if self._child is not None and self._status is Status.READY else None

    async def start(self) -> Capabilities:
        """Load the model in a first child. Raises `EngineFailed` with llama.cpp's own reason where it does not load."""
        self._home = Path(tempfile.mkdtemp(prefix="dragoman-"))
        try:
            capabilities = await self._bring_up()
        except BaseException:
            await self.close()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="engine supervisor")
        return capabilities

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Pass the job to the child that serves, or to the next one."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        for _ in range(_ATTEMPTS):
            child = await self._serving(deadline)
            try:
                async with aclosing(child.server.generate(job)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except EngineUnavailable:  # it died before it began
                await child.gone(deadline)
        raise EngineUnavailable(_NOT_BACK)

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Ask the child that serves, or the next one."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        for _ in range(_ATTEMPTS):
            child = await self._serving(deadline)
            try:
                return await child.server.tokenize(text, special=special)
            except EngineUnavailable:
                await child.gone(deadline)
        raise EngineUnavailable(_NOT_BACK)

    async def slots(self) -> list[Slot]:
        """What each slot is doing. Raises as `generate`, and does not wait."""
        return await (await self._serving(asyncio.get_running_loop().time())).server.slots()

    async def close(self) -> None:
        """End the child and remove its directory; whoever waits for it is told."""
        if self._status is Status.CLOSED:
            return
        self._status = Status.CLOSED
        self._settled.set()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})
        if self._child is not None:
            await self._child.end()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    async def _serving(self, deadline: float) -> "_Child":
        try:
            async with asyncio.timeout_at(deadline):
                await self._settled.wait()
        except TimeoutError:
            raise EngineUnavailable(_NOT_BACK) from None
        if self._child is None or self._status is Status.CLOSED:
            raise EngineUnavailable(f"{_NAME} is closed")
        return self._child

    async def _bring_up(self) -> Capabilities:
        child = await _Child.spawn(self._next_config())
        try:
            capabilities = await child.come_up()
        except BaseException:
            await child.end()
            raise
        self._child, self._status = child, Status.READY
        self._settled.set()
        return capabilities

    async def _supervise(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while self._child is not None:
            born = clock()
            await asyncio.wait({self._child.exit})
            self._status = Status.RESTARTING
            self._settled.clear()
            _log.warning("%s died (%s) and is being restarted", _NAME, self._child.epitaph())
            await self._child.end()
            if clock() - born >= _STEADY:
                pause = _FIRST_PAUSE
            while self._status is Status.RESTARTING:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                try:
                    await self._bring_up()
                except (EngineError, OSError) as error:
                    _log.warning("%s does not come back: %s", _NAME, error)
            self.restarts += 1

    def _next_config(self) -> ChildConfig:
        self._children += 1
        path = f"{self._home}/{self._children}.sock"
        has_unix = hasattr(socket, "AF_UNIX") and sys.platform != "win32" and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH
        return ChildConfig(
            model=str(self.model),
            name=self.name,
            host=path if has_unix else "127.0.0.1",
            key=secrets.token_urlsafe(),
            context=self.context,
            parallel=self.parallel,
            threads=self.threads,
        )


class _Child:
    """One process: its birth, its server once it is up, its last words, its end."""

    server: LlamaServer

    def __init__(self, process: asyncio.subprocess.Process, config: ChildConfig) -> None:
        self.process = process
        self.exit = asyncio.create_task(process.wait(), name="engine exit")
        self._config = config
        self._ended = asyncio.Event()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._listener = asyncio.create_task(self._listen(), name="engine log")

    @classmethod
    async def spawn(cls, config: ChildConfig) -> "_Child":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "dragoman.engines.llama_child"),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends the child in order
        )
        return cls(process, config)

    async def come_up(self) -> Capabilities:
        """Raises `EngineFailed` with llama.cpp's own reason where the model does not load."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(self._config) + b"\n")  # and stays open: its end is the child's end
        answer = await self.process.stdout.readline()
        if not answer:
            await asyncio.wait({self.exit, self._listener})
            raise EngineFailed(f"{_NAME} cannot load {self._config.model}: {self._reason()}")
        address = msgspec.json.decode(answer, type=Listening).address
        self.server = LlamaServer(address, key=self._config.key, name=_NAME, lost=_LOST, alone=True)
        return await self.server.start()

    async def gone(self, deadline: float) -> None:
        """Wait for the end of a child that does not answer. Raises `EngineUnavailable` where it does not come in time."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
        except TimeoutError:
            raise EngineUnavailable(f"{_NAME} does not answer") from None

    async def end(self) -> None:
        """Make sure that the process is gone. Idempotent."""
        self._ended.set()
        if hasattr(self, "server"):
            await self.server.close()
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            await asyncio.wait({self.exit}, timeout=_GRACE)
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        await asyncio.wait({self.exit, self._listener})

    def epitaph(self) -> str:
        """How it ended, for the log."""
        return f"exit status {self.process.returncode}, last words: {self._words[-1] if self._words else 'none'}"

    async def _listen(self) -> None:
        """Read what the child says for as long as it lives: a full pipe would stop it."""
        assert self.process.stderr is not None
        rest = b""
        while data := await self.process.stderr.read(1 << 16):
            *lines, rest = (rest[-(1 << 16) :] + data).split(b"\n")
            for line in lines:
                words = line.decode(errors="replace").strip()
                if words:
                    self._words.append(words)
                    _log.debug("%s", words)

    def _reason(self) -> str:
        """llama.cpp names the cause in its first error line, `0.00.041.621 E load: tensor …`, and wraps it in others."""
        for words in self._words:
            if match := re.match(r"[\d.]+ E [^:]*: *(.+)", words):
                return match[1]
        return self._words[-1] if self._words else f"exit status {self.process.returncode}"


def _window(model: Path, asked: int) -> int:
    trained = trained_window(model)
    if trained is None:
        return asked or LARGEST_DEFAULT_WINDOW
    if asked > trained:
        _log.warning("a context of %d tokens is more than %s was trained for: it gets %d", asked, model.name, trained)
    return min(asked or LARGEST_DEFAULT_WINDOW, trained)


def _cores() -> int:
    """The cores this process may use, which in a container are not all that there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

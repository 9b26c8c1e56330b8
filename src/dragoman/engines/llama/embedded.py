"""The embedded engine: llama.cpp in a child process, which `supervised` keeps alive.

It is the one in the wheel, or any other build of llama-server on this machine (`program`).

Every child has a socket of its own in one private directory, so that it is never confused with its predecessor.
"""

import asyncio
import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from dragoman.engines.base import Capabilities
from dragoman.engines.launcher import LOOPBACK, free_port, launched
from dragoman.engines.liveness import DEFAULT_PROBE_TIMES, ProbeTimes
from dragoman.engines.llama.child import ChildConfig, Listening
from dragoman.engines.llama.disk_cache import DiskSettings, SavedSlots
from dragoman.engines.llama.gpus import unused_gpu
from dragoman.engines.llama.load_log import LoadLog
from dragoman.engines.llama.program import LlamaProgram
from dragoman.engines.llama.server import LlamaServer
from dragoman.engines.llama.speculation import AUTO, OTHER_KIND, Speculation
from dragoman.engines.llama.threads import compute_threads
from dragoman.engines.llama.wire import Slot
from dragoman.engines.supervised import (
    COMPUTE_PROBE_TIMES,
    DEFAULT_RESTART_TIMES,
    LOST,
    NAME,
    Child,
    EngineStatus,
    RestartTimes,
    Supervised,
    spawn,
)
from dragoman.errors import EngineFailed, EngineUnavailable
from dragoman.models.gguf_header import trained_window
from dragoman.models.layers import is_plain
from dragoman.models.vocabulary import vocabulary_difference

__all__ = ["EmbeddedLlama", "EngineStatus"]

LARGEST_DEFAULT_WINDOW: Final = 32_768
"""Default limit of the context in tokens per slot: memory is allocated for all of them, for every slot, at the start."""

_MAX_WAIT: Final = 30.0
"""Seconds that requests wait for an engine that is being restarted."""
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes; the system's own limit is 104 or 108."""
_PAUSE: Final = 0.1
"""Seconds between two checks whether a program has loaded the model."""

_log = logging.getLogger(__name__)


class EmbeddedLlama(Supervised):
    """Serves a GGUF file with llama.cpp from the xllamacpp wheel, or with a `program`, which gets `args` as well.

    `context` is in tokens per slot; 0 means the context length that the model was trained for, but at most
    `LARGEST_DEFAULT_WINDOW`. More than the trained length is reduced to it, with a warning. `parallel` is the number of slots.
    `projector` is the image projector of the model, with which it sees. `disk` is where the slots are saved, None for nowhere.
    With a draft model it is nowhere, because a saved slot lacks that model's state, without which hardly a draft is accepted.
    `gpu_layers` are the layers on GPUs: a number, `all`, or as many as fit. `sharing` is how many models share the memory for
    prompts outside the slots.
    """

    def __init__(  # noqa: PLR0913 -- options of the command line, and times for tests
        self,
        model: Path,
        *,
        name: str | None = None,
        context: int = 0,
        parallel: int = 4,
        threads: int | None = None,
        projector: Path | None = None,
        disk: DiskSettings | None = None,
        program: LlamaProgram | None = None,
        gpu_layers: str | None = None,
        args: Sequence[str] = (),
        sharing: int = 1,
        speculation: Speculation = AUTO,
        probes: ProbeTimes = DEFAULT_PROBE_TIMES,
        compute_probes: ProbeTimes = COMPUTE_PROBE_TIMES,
        restart: RestartTimes = DEFAULT_RESTART_TIMES,
    ) -> None:
        super().__init__(max_wait=_MAX_WAIT, probes=probes, compute_probes=compute_probes, restart=restart)
        self.model = model
        self.projector = projector
        self.name = name or model.stem
        self.context = _window(model, context)
        self.parallel = parallel
        self.threads = threads or compute_threads()
        self.program = program
        self.gpu_layers = gpu_layers
        self.args = args
        self.sharing = sharing
        self.speculation = speculation
        self._children = 0
        self._disk = disk
        self._saves: SavedSlots | None = None
        self._folder: Path | None = None

    async def start(self) -> Capabilities:
        """Load the model in a first child. Raises `EngineFailed` with llama.cpp's own reason where it does not load."""
        self.speculation = await asyncio.to_thread(self._usable_speculation)
        self._folder = Path(tempfile.mkdtemp(prefix="dragoman-"))
        saves_slots = (self.program is None or self.program.saves_slots) and self.speculation.draft is None
        if self._disk is not None and saves_slots:
            self._saves = await asyncio.to_thread(self._open, self._disk)
        return await super().start()

    def _usable_speculation(self) -> Speculation:
        """What speculates, as far as that is known before the child runs. Reads files. Raises `EngineFailed`."""
        asked = self.speculation if is_plain(self.model) else self.speculation.off(OTHER_KIND)
        if self.program is not None:
            asked = self.program.speculation(asked, self.args)
        if asked.draft is not None and (difference := vocabulary_difference(self.model, Path(asked.draft))):
            raise EngineFailed(f"the draft model {asked.draft} does not fit {self.model}: {difference}")
        return asked

    def _open(self, disk: DiskSettings) -> SavedSlots | None:
        """What is saved for this model with these settings."""
        files = [self.model, *([self.projector] if self.projector else [])]
        if self.program is None:
            return disk.open(self.name, files, f"xllamacpp {version('xllamacpp')}", self.context)
        engine = f"llama-server {self.program.version}"
        settings = self.program.settings(self.args)
        return disk.open(self.name, [*files, Path(self.program.path)], engine, self.context, settings)

    async def slots(self) -> list[Slot]:
        """The state of each slot. Raises as `generate`, and does not wait."""
        child = await self._ready_child(asyncio.get_running_loop().time())
        assert isinstance(child.engine, LlamaServer)
        return await child.engine.slots()

    async def close(self) -> None:
        """End the child and remove its directory; waiting requests raise `EngineUnavailable`."""
        await super().close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def spawn(self) -> Child:
        """Start a process that loads the model."""
        config = self._next_config()
        if self.program is None:
            process = await spawn(sys.executable, "-P", "-m", "dragoman.engines.llama.child")
            return _LlamaChild(process, config, saves=self._saves)
        port = free_port() if config.host == LOOPBACK else None
        command = launched(self.program.command(config, port, self.args), private=True)
        process = await spawn(*command, merge_stderr=True, env=self.program.environment(config))
        return _ProgramChild(process, config, self.program, self._saves, port)

    def _next_config(self) -> ChildConfig:
        self._children += 1
        path = f"{self._folder}/{self._children}.sock"
        has_unix = hasattr(socket, "AF_UNIX") and sys.platform != "win32" and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH
        if self.program is not None:
            has_unix = has_unix and self.program.listens_on_sockets
        return ChildConfig(
            model=str(self.model),
            name=self.name,
            host=path if has_unix else LOOPBACK,
            key=secrets.token_urlsafe(),
            context=self.context,
            parallel=self.parallel,
            threads=self.threads,
            projector=str(self.projector) if self.projector else None,
            saves=str(self._saves.path) if self._saves else None,
            gpu_layers=self.gpu_layers,
            sharing=self.sharing,
            speculation=self.speculation,
        )


class _LlamaChild(Child):
    """A child process that is sent its configuration and reports the address it listens on."""

    engine: LlamaServer

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        config: ChildConfig,
        *,
        program: LlamaProgram | None = None,
        saves: SavedSlots | None = None,
    ) -> None:
        super().__init__(process)
        self._config = config
        self._program = program
        self._saves = saves
        self._load_log = LoadLog()
        self._on_gpu = False

    async def start_engine(self) -> Capabilities:
        """Wait until the model is loaded. Raises `EngineFailed` with llama.cpp's own reason."""
        address = await self._listening_address()
        self.engine = LlamaServer(address, key=self._config.key, name=NAME, lost=LOST, exclusive=True, saves=self._saves)
        await self._wait_until_loaded()
        found = await self.engine.start()
        return replace(found, found=self._found(found))

    async def _listening_address(self) -> str:
        """Send the configuration and wait for the address."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(self._config) + b"\n")  # stays open: closing it ends the child
        answer = await self.process.stdout.readline()
        if not answer:
            await asyncio.wait({self.exit, self._log_reader})
            raise self._not_loaded()
        listening = msgspec.json.decode(answer, type=Listening)
        self._on_gpu = listening.on_gpu
        return listening.address

    async def _wait_until_loaded(self) -> None:
        """Wait until the server answers; this one listens when it has loaded the model."""

    def read_log_line(self, line: str) -> None:
        """Take what the log says of the devices."""
        self._load_log.read(line)

    def _found(self, capabilities: Capabilities) -> dict[str, str]:
        """What computes, and what would help, for people."""
        program = self._program
        engine = f"{program.path}, version {program.version}" if program else f"llama.cpp in xllamacpp {version('xllamacpp')}"
        speculation = self._config.speculation.chosen(on_gpu=self._on_gpu)
        found = {
            "engine": engine,
            "computes": self._load_log.computes,
            "speculates": speculation.shown(on_gpu=self._on_gpu),
        }
        if not self._load_log.used and (unused := unused_gpu(program)):
            found["GPU"] = unused
        lacks = [program.missing] if program and program.missing else []
        lacks += [missing] if (missing := capabilities.found.get("missing")) else []
        return {**found, **({"missing": "; ".join(lacks)} if lacks else {})}

    def _not_loaded(self) -> EngineFailed:
        return EngineFailed(f"{NAME} cannot load {self._config.model}: {self._reason()}")

    async def probe(self) -> None:
        """Probe the server. Raises as `LlamaServer.probe`."""
        await self.engine.probe()

    async def probe_compute(self) -> None:
        """Ask for the state of the slots, which the thread that computes reports. Raises as `LlamaServer.slots`."""
        await self.engine.slots()

    def _reason(self) -> str:
        """The cause, which llama.cpp names in its first error line, `0.00.041.621 E load: tensor …`; else how it ended."""
        for line in self._log_lines:
            if match := re.match(r"[\d.]+ E [^:]*: *(.+)", line):
                return match[1]
        return self.exit_summary()


class _ProgramChild(_LlamaChild):
    """A program in a child process, which gets its configuration as arguments and is polled until it has loaded the model."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        config: ChildConfig,
        program: LlamaProgram,
        saves: SavedSlots | None,
        port: int | None,
    ) -> None:
        super().__init__(process, config, program=program, saves=saves)
        self._port = port
        self._on_gpu = bool(program.devices)

    async def _listening_address(self) -> str:
        return f"unix://{self._config.host}" if self._port is None else f"http://{LOOPBACK}:{self._port}"

    async def _wait_until_loaded(self) -> None:
        while not self.exit.done():
            try:
                return await self.engine.probe()
            except EngineUnavailable:
                await asyncio.wait({self.exit}, timeout=_PAUSE)
        await asyncio.wait({self._log_reader})
        raise self._not_loaded()


def _window(model: Path, asked: int) -> int:
    trained = trained_window(model)
    if trained is None:
        return asked or LARGEST_DEFAULT_WINDOW
    if asked > trained:
        _log.warning("a context of %d tokens is more than %s was trained for: %d are used", asked, model.name, trained)
    return min(asked or LARGEST_DEFAULT_WINDOW, trained)

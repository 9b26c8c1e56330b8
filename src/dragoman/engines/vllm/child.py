"""vLLM as a child process: `vllm serve MODEL`, on a free port of this machine, which `supervised` keeps alive.

vLLM is several processes, and those that compute keep running where only the first one dies. So `launcher` runs it.

It is configured to report cached tokens, and to enforce constraints as llama.cpp does: with llguidance, which knows the model's
special tokens. The user's arguments come after ours, and so override them. vLLM's log goes to our log.
"""

import asyncio
import shutil
from collections.abc import Sequence
from typing import Final

from dragoman.engines.base import Capabilities
from dragoman.engines.http import EngineHttp
from dragoman.engines.launcher import LOOPBACK, free_port, launched
from dragoman.engines.liveness import ProbeTimes
from dragoman.engines.supervised import DEFAULT_RESTART_TIMES, LOST, NAME, Child, RestartTimes, Supervised, spawn
from dragoman.engines.token_endpoint import FindFolder
from dragoman.engines.vllm.engine import SLOTS, Vllm
from dragoman.errors import EngineFailed, EngineUnavailable

PROGRAM: Final = "vllm"

_MAX_WAIT: Final = 600.0
"""Seconds that requests wait for a vLLM that is being restarted: it loads for minutes."""
_PROBES: Final = ProbeTimes(timeout=20.0)
"""vLLM answers on the event loop that also reads requests, so it may take longer than llama.cpp."""
_PAUSE: Final = 0.5
"""Seconds between two checks whether it is ready."""


class NotInstalled(Exception):
    """Raised where vLLM is not installed on this machine."""


class StartedVllm(Supervised):
    """Runs vLLM. `model` is a folder or a repository on the Hub; `args` are options of vLLM. Raises `NotInstalled`."""

    def __init__(  # noqa: PLR0913 -- most are options of the command line
        self,
        model: str,
        find_folder: FindFolder,
        *,
        tokenizer: str | None = None,
        slots: int = SLOTS,
        args: Sequence[str] = (),
        program: str = PROGRAM,
        probes: ProbeTimes = _PROBES,
        restart: RestartTimes = DEFAULT_RESTART_TIMES,
    ) -> None:
        super().__init__(max_wait=_MAX_WAIT, probes=probes, restart=restart)
        found = shutil.which(program)
        if found is None:
            raise NotInstalled("vLLM is not installed here: install it, or name a running one with --engine-url URL.")
        self._command = [found, "serve", model, "--host", LOOPBACK, "--enable-prompt-tokens-details"]
        self._command += ["--structured-outputs-config.backend", "guidance", "--max-num-seqs", str(slots), *args]
        self._find_folder = find_folder
        self._tokenizer = tokenizer
        self._slots = slots

    async def spawn(self) -> Child:
        """Start a process that loads the model, for minutes."""
        port = free_port()
        process = await spawn(*launched([*self._command, "--port", str(port)]), merge_stderr=True)
        address = f"http://{LOOPBACK}:{port}"
        engine = Vllm(
            address, self._find_folder, tokenizer=self._tokenizer, slots=self._slots, name=NAME, lost=LOST, watched=False
        )
        return _VllmChild(process, address, engine)


class _VllmChild(Child):
    """A child process that is polled until it listens."""

    engine: Vllm

    def __init__(self, process: asyncio.subprocess.Process, address: str, engine: Vllm) -> None:
        super().__init__(process)
        self.engine = engine
        self._http = EngineHttp("vLLM", address, name=NAME)

    async def start_engine(self) -> Capabilities:
        """Wait until the server listens. Raises `EngineFailed` with vLLM's own reason where it dies, or as `Vllm.start`."""
        try:
            while not self.exit.done():
                try:
                    await self._http.call("GET", "/version", object)
                    return await self.engine.start()
                except EngineUnavailable:
                    await asyncio.wait({self.exit}, timeout=_PAUSE)
        finally:
            await self._http.close()
        await asyncio.wait({self._log_reader})
        raise EngineFailed(f"{NAME} did not start: {self._reason()}")

    async def probe(self) -> None:
        """Probe the server. Raises as `Vllm.probe`."""
        await self.engine.probe()

    def _reason(self) -> str:
        """The first error in the last log lines, without its prefix; or the exit summary."""
        errors = [line for line in self._log_lines if "Error: " in line]
        return errors[0].partition(") ")[2] or errors[0] if errors else self.exit_summary()

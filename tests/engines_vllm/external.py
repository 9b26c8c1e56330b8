"""A vLLM that somebody else runs: it is there, goes away and comes back, and nobody tells us.

It needs minutes before it answers, to be installed and to load, and hardly more than one core for it. So it is brought up
beside whatever else there is to do (see `conftest`); who needs it waits, and sees what went wrong where something did.
"""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from tempfile import TemporaryFile
from urllib.error import URLError
from urllib.request import urlopen

from controllable_engine import until
from dragoman.models.resolve import resolve

from .installed import ENVIRONMENT, model_folder, vllm

SIZE = ["--enforce-eager", "--max-model-len", "2048"]
SLOTS = 4
STARTS_WITHIN = 400
"""Seconds: one, where it has two cores for itself, with what it reads in the system's cache."""
_GUARD = [sys.executable, "-P", "-m", "dragoman.engines.vllm.child"]
"""Ends it with us, however we end."""


class External:
    """Always at the same address, as it comes but for its size."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._log = TemporaryFile()  # noqa: SIM115 -- it lasts as long as this does
        self._threads = ThreadPoolExecutor(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._up: Future[None] | None = None
        self._over = False

    def begin(self) -> None:
        """Bring it up, meanwhile."""
        self._up = self._threads.submit(self._come_up)

    @property
    def url(self) -> str:
        """Where it answers, once it does."""
        assert self._up is not None
        self._up.result()
        return self.address

    def die(self) -> None:
        """All its processes at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()  # waits, and closes the pipe

    def end(self) -> None:
        """As who runs it would; one that is still being installed is not started."""
        self._over = True
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.communicate(timeout=30)
        self._threads.shutdown()
        self._log.close()

    def _come_up(self) -> None:
        folder = model_folder(resolve(None).path)
        command = [str(vllm() / "vllm"), "serve", str(folder), "--host", "127.0.0.1", "--port", str(self._port), *SIZE]
        command += ["--served-model-name", "smol", "--enable-prompt-tokens-details", "--max-num-seqs", str(SLOTS)]
        if self._over:
            return
        self._process = subprocess.Popen(
            [*_GUARD, *command],
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            process_group=0,
        )
        until(self._answers, STARTS_WITHIN, pause=0.5)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._said()
        try:
            return bool(urlopen(f"{self.address}/health", timeout=5).status == 200)
        except (URLError, TimeoutError, OSError):
            return False

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]

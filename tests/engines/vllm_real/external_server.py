"""A vLLM server that is started, killed and restarted without the knowledge of the tested server.

It takes minutes to install and to load, and hardly more than one core. So it is started in the background (see `conftest`); a
test that needs it waits, and gets its error where the start failed.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from urllib.error import URLError
from urllib.request import urlopen

from controllable_engine import until
from dragoman.engines.launcher import launched
from dragoman.models.resolve import resolve

from .installed import ENVIRONMENT, model_folder, vllm

SIZE = ["--enforce-eager", "--max-model-len", "2048"]
SLOTS = 4
STARTS_WITHIN = 400
"""Upper limit of the start, in seconds."""


class External:
    """A vLLM server with default settings except for its size, always at the same address.

    `folder` makes the folder of its model, `args` are further arguments.
    """

    def __init__(self, folder: Callable[[Path], Path] = model_folder, args: Sequence[str] = ()) -> None:
        self._folder = folder
        self._args = args
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._log = TemporaryFile()  # noqa: SIM115 -- `stop` closes it
        self._threads = ThreadPoolExecutor(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Future[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Start it in the background."""
        self._ready = self._threads.submit(self._start)

    @property
    def url(self) -> str:
        """The URL, once the server is ready."""
        assert self._ready is not None
        self._ready.result()
        return self.address

    def kill(self) -> None:
        """Kill all its processes at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()  # waits, and closes the pipe

    def stop(self) -> None:
        """Terminate it in order; if it is still being installed, it is not started."""
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.communicate(timeout=30)
        self._threads.shutdown()
        self._log.close()

    def _start(self) -> None:
        folder = self._folder(resolve(None).path)
        command = [str(vllm() / "vllm"), "serve", str(folder), "--host", "127.0.0.1", "--port", str(self._port), *SIZE]
        command += ["--served-model-name", "smol", "--enable-prompt-tokens-details", "--max-num-seqs", str(SLOTS), *self._args]
        if self._stopped:
            return
        self._process = subprocess.Popen(
            launched(command),  # ends with this process, however that ends
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            process_group=0,
        )
        until(self._answers, STARTS_WITHIN, pause=0.5)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log_tail()
        try:
            return bool(urlopen(f"{self.address}/health", timeout=5).status == 200)
        except (URLError, TimeoutError, OSError):
            return False

    def _log_tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]

"""A real server over a scripted engine, as an upstream of the engines' tests (see `fake_engine.Upstream`).

The server runs as a process of its own, always at the same port; what its engine generates is set over a socket.
"""

import json
import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, ClassVar
from urllib.error import URLError
from urllib.request import urlopen

from tokenizers import Tokenizer

from controllable_engine import until
from dragoman.engines.launcher import launched
from engines.folders import spelled
from engines.real_servers import sight
from engines.real_servers.installed import lmdeploy, python, sglang
from engines.real_servers.script import HTTP, SOCKET, Fault, Script
from engines.remote.fake_engine import GREETING, MESSAGES, EngineFault, ReceivedRequest

STARTS_WITHIN = 300
"""Upper limit of the start on a busy machine, in seconds."""


class RealServer(ABC):
    """A server whose model is called `name`. Its model folder is a copy of `folder`, with the settings of a model that sees.

    Its faults have messages of its own.
    """

    notation: ClassVar[str]
    """An image in the notation of its model."""
    module: ClassVar[str]
    messages: ClassVar[Mapping[EngineFault, str]]
    http: ClassVar[str] = ""
    """The suffix of the socket of the HTTP server."""

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self._scratch = TemporaryDirectory(prefix="script-")
        self.folder = Path(copytree(folder, Path(self._scratch.name) / folder.name))
        self.add_sight(self.folder)
        self._name = [name] if name else []
        self.unreadable = ""  # the server itself decides what it cannot read
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = TemporaryFile()  # noqa: SIM115 -- open as long as the process
        self._process: subprocess.Popen[bytes] | None = None
        self._script = Script()

    @abstractmethod
    def packages(self) -> Path:
        """The folder with the server's packages."""

    @abstractmethod
    def add_sight(self, folder: Path) -> None:
        """Change the settings in the folder to those of a model that sees."""

    def start_upstream(self) -> None:
        """Start the server, unless it runs, and wait until it answers."""
        if self._process is None:
            self.begin()
        until(self._answers, STARTS_WITHIN, pause=0.1)
        self.reset()

    def begin(self) -> None:
        """Start the server without waiting for it."""
        for path in {self._socket, self._socket + self.http}:
            Path(path).unlink(missing_ok=True)
        paths = os.pathsep.join(map(str, (Path(__file__).parents[2], self.packages())))
        offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        self._process = subprocess.Popen(
            launched(
                [str(python()), "-m", self.module, str(self.folder), str(self._port), *self._name]
            ),  # ends with this process
            env={**os.environ, **offline, "PYTHONPATH": paths, SOCKET: self._socket},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            process_group=0,
        )

    def stop_upstream(self) -> None:
        """Kill all its processes."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._process = None
        until(self._refuses)

    def _refuses(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self._port)) != 0

    def close(self) -> None:
        """Kill it for good."""
        if self._process is not None:
            self.stop_upstream()
        self._log.close()
        self._scratch.cleanup()

    def freeze(self) -> None:
        """Suspend its processes, until `thaw`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def reset(self) -> None:
        """Let it say a greeting, and forget what was received."""
        self.says(*GREETING.tokens)
        for suffix in {"", self.http}:
            self._tell(suffix, forget=True)

    def says(self, *tokens: bytes | str, cached: int = 0, fault: Fault = "") -> None:
        """Set the reply to the next requests: each token is a step, of several tokens where the vocabulary does not have it."""
        raw = [token.encode() if isinstance(token, str) else token for token in tokens]
        whole = self._tokenizer.encode(b"".join(raw).decode()).ids
        self._run(Script([*map(self._ids, raw)], whole, self._ending, cached, fault))

    def repeats(self, token: bytes, pace: float) -> None:
        """Reply with one token, a thousand times, every `pace` seconds."""
        self._run(Script([self._ids(token)] * 1000, ending=self._ending, pace=pace))

    @property
    def processes(self) -> tuple[int, list[int]]:
        """The launcher's process id, and that of the engine, where the engine is a process of its own."""
        assert self._process is not None
        return self._process.pid, [self._tell()["pid"]] if self.http else []

    def hold(self, at: int) -> None:
        """Stop every reply before that step, until its client disconnects; the engine is not reached before the first."""
        self._run(replace(self._script, held_at=max(at, 0)))

    @property
    def received(self) -> Sequence[ReceivedRequest]:
        """The requests that reached the engine."""
        return [
            ReceivedRequest(
                one["prompt"], one["limit"], json.dumps(one["constraint"]) if one["constraint"] else "", one, one.get("rid", "")
            )
            for one in self._tell()["received"]
        ]

    @property
    def holding(self) -> int:
        """The requests that wait in `hold`."""
        return int(self._tell()["holding"])

    @property
    def disconnects(self) -> int:
        """The requests that were cancelled in the engine."""
        return int(self._tell()["cancelled"])

    @property
    def keys(self) -> list[str | None]:
        """The keys of all requests."""
        return list(self._tell(self.http)["keys"])

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of the requests for tokens."""
        return list(self._tell(self.http)["headers"])

    def _run(self, script: Script) -> None:
        self._script = script
        self._tell(script=asdict(script))

    def _tell(self, suffix: str = "", **line: Any) -> dict[str, Any]:
        """Send a line, and return the records."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._socket + suffix)
            connection.sendall(json.dumps(line).encode() + b"\n")
            with connection.makefile() as answers:
                records: dict[str, Any] = json.loads(answers.readline())
        return records

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log_tail()
        try:
            return bool(urlopen(f"{self.url}/health", timeout=5).status == 200)
        except (URLError, TimeoutError, OSError):
            return False

    def _log_tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]

    @property
    def _socket(self) -> str:
        return f"{self._scratch.name}/script.sock"

    def _ids(self, token: bytes) -> list[int]:
        whole = self._vocabulary.get(spelled(token))
        return [self._vocabulary[spelled(bytes([byte]))] for byte in token] if whole is None else [whole]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        return self._tokenizer.get_vocab()

    @property
    def _ending(self) -> int:
        return self._vocabulary["<|im_end|>"]


class RealLMDeploy(RealServer):
    """The real LMDeploy."""

    module = "engines.real_servers.lmdeploy_server"
    notation = sight.LLAVA_IMAGE
    messages: ClassVar = {
        "refuses": "must be smaller than the model context length",
        "loads": "Engine is sleeping",
        "fails midway": "An internal server error occurred",
    }

    def packages(self) -> Path:
        return lmdeploy()

    def add_sight(self, folder: Path) -> None:
        sight.llava(folder)


class RealSGLang(RealServer):
    """The real SGLang. Refusals and failures are its scheduler's, which is scripted."""

    module = "engines.real_servers.sglang_server"
    notation = sight.GEMMA_IMAGE["boi_token"]
    messages = MESSAGES
    http = HTTP

    def packages(self) -> Path:
        return sglang()

    def add_sight(self, folder: Path) -> None:
        sight.gemma(folder)

"""Runs `dragoman serve` in a child process."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAGOMAN = [sys.executable, "-m", "dragoman"]
_DATA = str(Path(tempfile.gettempdir(), f"dragoman-tests-{os.getpid()}"))
BANNER = re.compile(r"^Dragoman serves (?P<model>\S+) at (?P<url>\S+)$", re.MULTILINE)


def environment() -> dict[str, str]:
    """The environment without variables that set options; nothing is saved in the user's folders."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    return {**kept, "DRAGOMAN_SERVE_CACHE_LIMIT": "0", "DRAGOMAN_SERVE_RESPONSES_LIMIT": "0", "DRAGOMAN_SERVE_DATA_DIR": _DATA}


class Process:
    """A running server; `banner` is the text that it printed when it was ready."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.pid = popen.pid
        assert popen.stdout is not None
        self.banner = ""
        for line in popen.stdout:
            self.banner += line
            if " claude" in line:
                break
        else:
            popen.wait(10)
            raise AssertionError(popen.stderr.read() if popen.stderr else "")
        found = BANNER.search(self.banner)
        assert found is not None, self.banner
        self.url, self.model = found["url"], found["model"]

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def exit_code(self) -> int:
        return self._popen.wait(30)

    def log(self) -> str:
        """The whole log, after the process has ended."""
        assert self._popen.stderr is not None
        return self._popen.stderr.read()


@contextmanager
def serving(*arguments: str, program: list[str] | None = None) -> Iterator[Process]:
    """Run `dragoman serve ARGUMENTS --port 0`, and kill it at the end if it still runs."""
    command = [*(program or DRAGOMAN), "serve", "--log-level", "error", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as popen:
        try:
            yield Process(popen)
        finally:
            popen.kill()


def script(folder: Path, *lines: str) -> str:
    """Write a script of the scripted engine; returns its path."""
    path = folder / "script.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)

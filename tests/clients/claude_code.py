"""Claude Code as its user starts it, but in a home, a project and a network of its own."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cell import Cell
from .installed import node_packages
from .roster import CLAUDE_CODE_VERSION, QUIET

_PATIENCE = 90.0


def installed() -> Path:
    """The program."""
    folder = node_packages(f"clients/claude-code-{CLAUDE_CODE_VERSION}", [f"@anthropic-ai/claude-code@{CLAUDE_CODE_VERSION}"])
    return folder / "node_modules" / ".bin" / "claude"


@dataclass(frozen=True, slots=True)
class Told:
    """What one run wrote: a line of JSON per event."""

    events: Sequence[Mapping[str, Any]]
    errors: str

    @property
    def result(self) -> Mapping[str, Any]:
        """The last event, which sums up."""
        assert self.events, self.errors
        last = self.events[-1]
        assert last["type"] == "result", last
        return last

    @property
    def answer(self) -> str:
        """The last words."""
        assert not self.result["is_error"], self.result
        return str(self.result["result"])


def heard_from(process: "subprocess.Popen[str]", patience: float) -> Told:
    """All that it writes until its end, which comes within so many seconds."""
    try:
        written, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Told([json.loads(line) for line in written.splitlines() if line.startswith("{")], errors)


class ClaudeCode:
    """One user with one project; each `run` is one start of the program."""

    def __init__(self, cell: Cell, folder: Path, model: str) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self._cell = cell
        self._environment = {
            **QUIET,
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": cell.url,
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        }

    @property
    def url(self) -> str:
        """The server's."""
        return self._cell.url

    @property
    def entrance(self) -> Sequence[str]:
        """What begins a command that is to run where the client does."""
        return self._cell.entrance

    def start(self, prompt: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start it in print mode; it reads nothing from us."""
        command = [*self._cell.entrance, str(installed()), "-p", "--output-format", "stream-json", "--verbose"]
        command += [
            "--permission-mode",
            "acceptEdits",
            "--allowedTools",
            "Bash,Read,Write,Edit,Agent",
            *arguments,
            "--",
            prompt,
        ]
        return subprocess.Popen(
            command,
            cwd=self.project,
            env={**self._environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, prompt: str, *arguments: str, **environment: str) -> Told:
        """Start it and wait for its end."""
        with self.start(prompt, *arguments, **environment) as process:
            return heard_from(process, _PATIENCE)

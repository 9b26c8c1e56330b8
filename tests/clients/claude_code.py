"""Runs Claude Code as its user does, with a separate home, project and network."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .client_list import CLAUDE_CODE_VERSION, QUIET
from .installed import node_packages
from .network_sandbox import NetworkSandbox

_TIMEOUT = 90.0


def installed() -> Path:
    """The path of the program, which is installed if it is missing."""
    folder = node_packages(f"clients/claude-code-{CLAUDE_CODE_VERSION}", [f"@anthropic-ai/claude-code@{CLAUDE_CODE_VERSION}"])
    return folder / "node_modules" / ".bin" / "claude"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The output of one run: the JSON events of standard output, and standard error."""

    events: Sequence[Mapping[str, Any]]
    errors: str

    @property
    def result(self) -> Mapping[str, Any]:
        """The last event, with the result."""
        assert self.events, self.errors
        last = self.events[-1]
        assert last["type"] == "result", last
        return last

    @property
    def answer(self) -> str:
        """The text of the result; an error of the client fails the test."""
        assert not self.result["is_error"], self.result
        return str(self.result["result"])


def read_transcript(process: "subprocess.Popen[str]", timeout: float) -> Transcript:
    """The whole output of a process that must end within `timeout` seconds."""
    try:
        written, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Transcript([json.loads(line) for line in written.splitlines() if line.startswith("{")], errors)


class ClaudeCode:
    """One home and one project; each `run` starts the program once."""

    def __init__(self, sandbox: NetworkSandbox, folder: Path, model: str) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self._sandbox = sandbox
        self._environment = {
            **QUIET,
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": sandbox.url,
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        }

    @property
    def url(self) -> str:
        """The server's URL."""
        return self._sandbox.url

    @property
    def command_prefix(self) -> Sequence[str]:
        """The prefix of a command that runs in the client's network."""
        return self._sandbox.command_prefix

    def start(self, prompt: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start it in print mode, without standard input."""
        command = [*self._sandbox.command_prefix, str(installed()), "-p", "--output-format", "stream-json", "--verbose"]
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

    def run(self, prompt: str, *arguments: str, **environment: str) -> Transcript:
        """Run it to its end and return its output."""
        with self.start(prompt, *arguments, **environment) as process:
            return read_transcript(process, _TIMEOUT)

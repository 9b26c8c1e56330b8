"""Runs Codex as its user does, with a separate home, project and network."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client_list import CODEX_VERSION
from .installed import node, node_packages
from .network_sandbox import NetworkSandbox

_TIMEOUT = 90.0
CONFIG = """\
model = "MODEL"
model_provider = "dragoman"
web_search = "disabled"

[model_providers.dragoman]
name = "Dragoman"
base_url = "URL/v1"
wire_api = "responses"
"""
"""The configuration of docs/clients/codex.md."""


def installed() -> Path:
    """The path of the program, which is installed if it is missing."""
    folder = node_packages(f"clients/codex-{CODEX_VERSION}", [f"@openai/codex@{CODEX_VERSION}"])
    return folder / "node_modules" / "@openai" / "codex" / "bin" / "codex.js"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The output of one run: the JSON events of standard output, and standard error."""

    events: Sequence[Mapping[str, Any]]
    errors: str

    def items(self, kind: str) -> list[Mapping[str, Any]]:
        """The completed items of one type."""
        items = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item for item in items if item["type"] == kind]

    @property
    def answer(self) -> str:
        """The last message; a turn that failed fails the test."""
        assert self.events, self.errors
        assert self.events[-1]["type"] == "turn.completed", self.events[-1]
        return str(self.items("agent_message")[-1]["text"])

    @property
    def failure(self) -> str:
        """Why the turn failed."""
        last = self.events[-1]
        assert last["type"] == "turn.failed", last
        return str(last["error"]["message"])


@dataclass(slots=True)
class Codex:
    """One home and one project; each `run` starts the program once."""

    sandbox: NetworkSandbox
    folder: Path
    model: str
    home: Path = field(init=False)
    project: Path = field(init=False)

    def __post_init__(self) -> None:
        self.home, self.project = self.folder / "home", self.folder / "project"
        self.project.mkdir()
        (self.home / ".codex").mkdir(parents=True)
        config = CONFIG.replace("MODEL", self.model).replace("URL", self.sandbox.url)
        (self.home / ".codex" / "config.toml").write_text(config, encoding="utf-8")

    def start(self, *arguments: str, sandbox: str = "danger-full-access") -> "subprocess.Popen[str]":
        """Start `codex exec ARGUMENTS`, without standard input and questions, and without a sandbox unless one is named."""
        command = [*self.sandbox.command_prefix, str(node()), str(installed()), "exec", "--json", "--skip-git-repo-check"]
        return subprocess.Popen(
            [*command, "--sandbox", sandbox, *arguments],
            cwd=self.project,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **options: str) -> Transcript:
        """Run it to its end and return its output."""
        with self.start(*arguments, **options) as process:
            try:
                written, errors = process.communicate(timeout=_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Transcript([json.loads(line) for line in written.splitlines() if line.startswith("{")], errors)

    def resume(self, *arguments: str) -> Transcript:
        """Continue the last session."""
        return self.run("resume", "--last", *arguments)

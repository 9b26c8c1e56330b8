"""Reads the clients from `clients.toml` and runs them."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .installed import node, node_packages, python_packages
from .network_sandbox import NetworkSandbox

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
}
"""Settings with which Claude Code, alone or inside the agent SDK, contacts no other server."""

_HERE = Path(__file__).parent
_TIMEOUT = 100.0
WORKS, NOT_YET = "works", "not yet"
_REFUSED_FOR_NOW = re.compile("(not supported|cannot be enforced) by this server yet")


@dataclass(frozen=True, slots=True)
class Client:
    """A client, with the fields of the file."""

    packages: Sequence[str]
    page: str
    program: str
    lacks: Sequence[str] = ()
    not_yet: Sequence[str] = ()
    weather_tool: str = "get_weather"
    city_tool: str = ""

    @property
    def name(self) -> str:
        """The first package, without its version and its extras."""
        return re.sub(r"(?<=.)(\[.*)?(==|@)[^@]*$", "", self.packages[0])

    @property
    def version(self) -> str:
        return re.split("==|@", self.packages[0])[-1]

    @property
    def expected(self) -> Mapping[str, str]:
        """The expected outcome of each step."""
        return {step: NOT_YET if step in self.not_yet else WORKS for step in STEPS if step not in self.lacks}

    @property
    def installed(self) -> Path:
        """The folder of its installation, which is made if it is missing."""
        folder = f"clients/{re.sub('[^a-z0-9]+', '-', self.name).strip('-')}-{self.version}"
        return (node_packages if self.program.endswith(".mjs") else python_packages)(folder, self.packages)

    def run(self, sandbox: NetworkSandbox, home: Path) -> Mapping[str, str]:
        """Install it and run its program in `sandbox`; returns the outcome or the error of each step."""
        output = self.execute(_HERE / "programs" / self.program, sandbox, home, sandbox.url)
        lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"step"')]
        return {line["step"]: _outcome(line["error"]) for line in lines}

    def execute(self, program: Path, sandbox: NetworkSandbox, home: Path, *arguments: str) -> str:
        """Run a program that uses it; returns its standard output."""
        environment = {**QUIET, "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
        if program.suffix == ".mjs":
            command, cwd = [str(node())], self.installed
        else:
            # -S: the client must not import the project's own packages.
            command, cwd = [sys.executable, "-S"], home
            environment["PYTHONPATH"] = str(self.installed)
        done = subprocess.run(
            [*sandbox.command_prefix, *command, str(program), *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def _outcome(error: str | None) -> str:
    if error is None:
        return WORKS
    return NOT_YET if _REFUSED_FOR_NOW.search(error) else error


_DATA = tomllib.loads((_HERE / "clients.toml").read_text(encoding="utf-8"))
STEPS: Sequence[str] = _DATA["steps"]
CLAUDE_CODE_VERSION: str = _DATA["claude_code"]["version"]
CLAUDE_CODE_STEPS: Mapping[str, str] = _DATA["claude_code"]["steps"]
CODEX_VERSION: str = _DATA["codex"]["version"]
CODEX_STEPS: Mapping[str, str] = _DATA["codex"]["steps"]
CLIENTS = [Client(**entry) for entry in _DATA["client"]]

"""The programs that `dragoman launch` starts, as `launched.toml` describes them, and their installations."""

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragoman.cli.launch.program import Program
from dragoman.cli.launch.programs import PROGRAMS

from .installed import node, node_packages, python_packages
from .session import call

PROMPT = "Change the note."
BEFORE, AFTER = "It rains in Ulm.", "The sun shines in Ulm."
ANSWER = "I have changed it."


@dataclass(frozen=True, slots=True)
class Launched:
    """A program, with the fields of the file."""

    name: str
    package: str
    arguments: Sequence[str]
    read: Mapping[str, Mapping[str, Any]] | None = None
    edit: Mapping[str, Mapping[str, Any]] | None = None
    says: str = ""
    module: str = ""
    own_version: str = ""
    other_models: Sequence[str] = ()

    @property
    def program(self) -> Program:
        return PROGRAMS[self.name]

    @property
    def version(self) -> str:
        """The program's own version."""
        return self.own_version or self._package_version

    @property
    def _package_version(self) -> str:
        return re.split("==|@", self.package)[-1]

    def path(self, scripts: Path) -> str:
        """The PATH with the program, which is installed if it is missing, and with node; `scripts` is an empty folder."""
        folder = f"clients/{self.name}-{self._package_version}"
        if self.module:
            # Not PYTHONPATH: it would be that of `dragoman launch`, too.
            start = f"PYTHONPATH={python_packages(folder, [self.package])} exec {sys.executable} -S -m {self.module}"
            script = scripts / self.program.executable
            script.write_text(f'#!/bin/sh\n{start} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
        else:
            scripts = node_packages(folder, [self.package]) / "node_modules" / ".bin"
        return os.pathsep.join([str(scripts), str(node().parent), os.environ["PATH"]])

    def command(self) -> list[str]:
        """The arguments for the program."""
        return [PROMPT if word == "PROMPT" else word for word in self.arguments]

    def calls(self, project: Path) -> tuple[str, str]:
        """What the model writes to read and to change the note."""
        read, edit = (_call(described, project) if described else self.says for described in (self.read, self.edit))
        return read, edit


def _call(described: Mapping[str, Mapping[str, Any]], project: Path) -> str:
    [(name, arguments)] = described.items()
    return call((name, json.loads(json.dumps(arguments).replace("PROJECT", str(project)))))


_DATA = tomllib.loads(Path(__file__).with_name("launched.toml").read_text(encoding="utf-8"))
LAUNCHED = [Launched(**entry) for entry in _DATA["program"]]

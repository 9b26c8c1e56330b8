"""The programs that `dragoman launch` starts, as `launched.toml` describes them, and their installations."""

import json
import os
import re
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
    read: Mapping[str, Mapping[str, Any]]
    edit: Mapping[str, Mapping[str, Any]]
    folder: str = "node_modules/.bin"

    @property
    def program(self) -> Program:
        return PROGRAMS[self.name]

    @property
    def version(self) -> str:
        return re.split("==|@", self.package)[-1]

    @property
    def path(self) -> str:
        """The PATH with the program, which is installed if it is missing, and with node."""
        is_python = "==" in self.package
        install = python_packages if is_python else node_packages
        installed = install(f"clients/{self.name}-{self.version}", [self.package])
        return os.pathsep.join([str(installed / self.folder), str(node().parent), os.environ["PATH"]])

    def command(self) -> list[str]:
        """The arguments for the program."""
        return [PROMPT if word == "PROMPT" else word for word in self.arguments]

    def calls(self, project: Path) -> tuple[str, str]:
        """What the model writes to read and to change the note."""
        return _call(self.read, project), _call(self.edit, project)


def _call(described: Mapping[str, Mapping[str, Any]], project: Path) -> str:
    [(name, arguments)] = described.items()
    return call((name, json.loads(json.dumps(arguments).replace("PROJECT", str(project)))))


_DATA = tomllib.loads(Path(__file__).with_name("launched.toml").read_text(encoding="utf-8"))
LAUNCHED = [Launched(**entry) for entry in _DATA["program"]]

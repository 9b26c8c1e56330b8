"""What `dragoman launch` knows about a program: how it is found, and what it needs to work with a local model, as data."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dragoman.cli.launch.target import Target

KEY = "DRAGOMAN_API_KEY"
"""The variable with the server's key, for programs that read the name of a variable from their configuration."""


class Api(Enum):
    """The format that a program speaks, by the path of its requests."""

    MESSAGES = "/v1/messages"
    CHAT = "/v1/chat/completions"
    RESPONSES = "/v1/responses"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable, with its reason. It is not set where `value` returns None."""

    name: str
    value: str | Callable[[Target], str | None]
    reason: str

    def of(self, target: Target) -> str | None:
        """The value for a target."""
        return self.value if isinstance(self.value, str) else self.value(target)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that exists for this run. The variable or the option `given_by` has its path."""

    name: str
    given_by: str
    content: Callable[[Target], str]
    reason: str


@dataclass(frozen=True, slots=True)
class User:
    """The user's environment, and the folder where the program is started."""

    environment: Mapping[str, str]
    project: Path

    @property
    def home(self) -> Path:
        """The home folder."""
        return Path(self.environment.get("HOME") or Path.home())

    def folder(self, variable: str, default: str) -> Path:
        """The folder in `variable`, else the one below the home folder."""
        return Path(self.environment.get(variable) or self.home / default)


Overriding = Callable[[User, Mapping[str, str], AbstractSet[str]], Iterable[str]]
"""The lines about settings in the user's files that take precedence over ours.

The arguments are the user, our variables, and the names of all variables that are set or removed.
"""


def _nothing(*_: object) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that `dragoman launch NAME` starts.

    `executable` is its name on the path, `install` the command that installs it. `prompt` is the length of its own prompt with
    its tools in tokens, `recommended` the smallest window that it works well with. `removed` has the variables of the user's
    shell that it must not see, each with the reason. `arguments` come before those of the user. `notes` are sentences for the
    documentation; `without_window` says what happens if the window is unknown.
    """

    name: str
    title: str
    executable: str
    install: str
    api: Api
    prompt: int
    recommended: int
    variables: Sequence[Variable]
    removed: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[ConfigFile] = ()
    arguments: Callable[[Target], Sequence[str]] = _nothing
    overriding: Overriding = _nothing
    notes: Sequence[str] = ()
    without_window: str = "its default is used"

    @property
    def names(self) -> set[str]:
        """The variables that are set or removed."""
        files = {file.given_by for file in self.files if not file.given_by.startswith("-")}
        return {variable.name for variable in self.variables} | self.removed.keys() | files


def found_in(paths: Callable[[User], Sequence[Path]], pattern: str, effect: str) -> Overriding:
    """The files in which a line matches `pattern`, whose first group is the name of the setting; `effect` says what it does."""

    def lines(user: User, _ours: Mapping[str, str], _names: AbstractSet[str]) -> Iterator[str]:
        for path in paths(user):
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, ValueError):
                continue
            for name in sorted({match[1] for match in re.finditer(pattern, text, re.MULTILINE)}):
                yield f"{path} sets {name}, {effect}"

    return lines

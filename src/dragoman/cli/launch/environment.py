"""The command and the environment of a program for one target, its temporary files, and the same as lines for a shell."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dragoman.cli.http import LOOPBACK
from dragoman.cli.launch.program import Program
from dragoman.cli.launch.target import Target

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a program is started with: arguments before the user's, variables to set, and the user's variables to remove.

    `folder` has the temporary files, if there are any.
    """

    executable: str
    arguments: Sequence[str]
    variables: Mapping[str, str]
    removed: Sequence[str]
    folder: Path | None = None

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """The whole environment, based on `given`."""
        return {name: value for name, value in given.items() if name not in self.removed} | dict(self.variables)

    def shell_lines(self) -> Iterator[str]:
        """The same for a shell. Arguments become a function with the program's name."""
        yield from (f"unset {name}" for name in self.removed)
        yield from (f"export {name}={shlex.quote(value)}" for name, value in self.variables.items())
        if self.arguments:
            yield f'{self.executable}() {{ command {self.executable} {shlex.join(self.arguments)} "$@"; }}'
        if self.folder:
            yield f"# afterwards: rm -r {shlex.quote(str(self.folder))}"


def prepare(program: Program, target: Target, given: Mapping[str, str]) -> Prepared:
    """Write the program's files to a new temporary folder, and return what it is started with.

    `given` is the environment of the user's shell. Only this user can read the files.
    """
    folder = Path(tempfile.mkdtemp(prefix="dragoman-")) if program.files else None
    values = {variable.name: variable.of(target) for variable in program.variables}
    arguments = list(program.arguments(target))
    for file in program.files:
        assert folder is not None
        path = folder / file.name
        path.write_text(file.content(target), encoding="utf-8")
        if file.given_by.startswith("-"):
            arguments += [file.given_by, str(path)]
        else:
            values[file.given_by] = str(path)
    variables = {name: value for name, value in values.items() if value is not None} | _no_proxy(target, given)
    removed = [name for name in program.removed if name in given]
    return Prepared(program.executable, arguments, variables, removed, folder)


@contextmanager
def prepared(program: Program, target: Target) -> Iterator[Prepared]:
    """`prepare` in our own environment; the files are removed at the end of the block."""
    found = prepare(program, target, os.environ)
    try:
        yield found
    finally:
        if found.folder:
            shutil.rmtree(found.folder, ignore_errors=True)


def _no_proxy(target: Target, given: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY` with the server's host, if it is this machine and a proxy is set: the program would use the proxy for it."""
    host = urlsplit(target.url).hostname
    if host not in LOOPBACK or not any(name.lower() in _PROXIES for name in given):
        return {}
    hosts = ",".join(filter(None, (given.get("NO_PROXY") or given.get("no_proxy"), host)))
    return {"NO_PROXY": hosts, "no_proxy": hosts}

"""What the user should know before a program starts: a small window, variables that are replaced, settings that win."""

from collections.abc import Iterator, Mapping

from dragoman.cli.launch.program import Program, User
from dragoman.cli.launch.target import Target


def warnings(program: Program, target: Target, user: User, ours: Mapping[str, str]) -> Iterator[str]:
    """The warnings, without a full stop; `ours` are the variables that are set."""
    yield from _window(program, target)
    yield from replaced(program, user.environment, ours)
    yield from program.overriding(user, ours, program.names)


def _window(program: Program, target: Target) -> Iterator[str]:
    if target.window is None:
        yield f"{target.url} does not report its window: give --context-length N, or {program.without_window}"
    elif target.window < program.recommended:
        too = "too small" if target.window < program.prompt else "small"
        yield (
            f"a window of {target.window:,} tokens is {too}: {program.title}'s own prompt takes about {program.prompt:,} of "
            f"them, and {program.recommended:,} or more are recommended"
        )


def replaced(program: Program, given: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[str]:
    """A line for each of the user's variables that gets another value or is removed."""
    for name in sorted(program.names & given.keys()):
        if given[name] and given[name] != ours.get(name):
            reason = program.removed.get(name, "it has no value")
            yield f"{name} {'has another value' if name in ours else f'is removed ({reason})'} in this run"

"""How the end of an engine's process is reported."""

import sys
from pathlib import Path

import pytest

from dragoman.engines.exit_status import exit_text, missing_library
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.program import UnusableProgram, choose, examine
from dragoman.errors import EngineFailed

from .llama_program.programs import describing_program

SIGILL = "ended by SIGILL: it was built for processors with instructions that this one lacks"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit status 0"),
        (1, "exit status 1"),
        (128, "exit status 128"),
        (255, "exit status 255"),
        (-4, SIGILL),
        (132, SIGILL),
        (-9, "ended by SIGKILL: often because the memory was exhausted"),
        (139, "ended by SIGSEGV"),
        (None, "it has not ended"),
    ],
)
def test_a_signal_is_named(status: int | None, text: str) -> None:
    assert exit_text(status) == text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory",
            "; this system lacks libgomp.so.1: it is in libgomp1 of Debian and Ubuntu, libgomp of Fedora and Alpine",
        ),
        (
            "llama-server: error while loading shared libraries: libcudart.so.12: cannot open shared object file: No such …",
            "; this system lacks libcudart.so.12",
        ),
        ("error: libgomp", ""),
    ],
)
def test_a_missing_library_is_named_with_its_package(line: str, text: str) -> None:
    assert missing_library(line) == text


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")
async def test_the_library_that_a_program_lacks_is_reported(tmp_path: Path, model: Path) -> None:
    lacks = "echo llama-server: libgomp.so.1: cannot open shared object file; exit 127"
    program = choose(str(describing_program(tmp_path / "llama-server", serves=lacks)))
    engine = EmbeddedLlama(model, program=program)
    with pytest.raises(EngineFailed, match=r"this system lacks libgomp\.so\.1: it is in libgomp1"):
        await engine.start()
    await engine.close()


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")
async def test_a_program_for_another_processor_is_reported_as_such(tmp_path: Path, model: Path) -> None:
    program = choose(str(describing_program(tmp_path / "llama-server", serves="echo warming up; kill -ILL $$")))
    engine = EmbeddedLlama(model, program=program)
    with pytest.raises(EngineFailed, match=f"cannot load .*: {SIGILL}, last log line: warming up"):
        await engine.start()
    await engine.close()


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")
def test_so_is_one_that_cannot_describe_itself(tmp_path: Path) -> None:
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\nkill -ILL $$\n")
    path.chmod(0o755)
    with pytest.raises(UnusableProgram, match=f"llama-server --help {SIGILL}"):
        examine(str(path))

"""Which llama-server is used, and what it is started with, by what a program says of itself."""

import logging
import os
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import msgspec
import pytest

from dragoman.engines.llama import program
from dragoman.engines.llama.child import ChildConfig
from dragoman.engines.llama.program import LlamaProgram, UnusableProgram, choose, examine
from dragoman.engines.llama.speculation import AUTO, NGRAM, OFF, Speculation, Way
from dragoman.errors import EngineFailed

from .programs import HELP, NEWER_HELP, ONE_DEVICE, describing_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")

CONFIG = ChildConfig(
    model="m.gguf",
    name="m",
    host="/run/1.sock",
    key="secret",
    context=1000,
    parallel=4,
    threads=2,
    projector="p.gguf",
    saves="/cache",
)

NGRAMS = ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "12", "--spec-ngram-simple-size-m"]


def values(command: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(command) if name == option]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a program on the path, and set how many GPUs the llama.cpp in the wheel finds."""

    def put(*, wheel_has_devices: bool = False, **description: str) -> Path:
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(program, "_wheel_has_devices", lambda: wheel_has_devices)
        return describing_program(tmp_path / "llama-server", **description)

    return put


def test_a_program_is_described_by_its_own_output(tmp_path: Path) -> None:
    path = describing_program(tmp_path / "server", devices=ONE_DEVICE)
    found = examine(str(path))
    assert (found.path, found.version) == (str(path), "6123 (7e4c0a9)")
    assert found.devices == (("CUDA0", "NVIDIA GeForce RTX 4090 (24080 MiB, 23700 MiB free)"),)
    assert found.missing == ""
    assert found.saves_slots
    assert found.listens_on_sockets
    assert found.free_memory == 23_700 << 20


def test_what_an_older_program_lacks_is_said(tmp_path: Path) -> None:
    found = examine(str(describing_program(tmp_path / "server", options=HELP)))
    assert found.missing.split("; ") == [
        "conversations are not saved on disk",
        "layers are not fitted to the device's memory (give --gpu-layers)",
        "prompts are kept in the slots only",
    ]
    assert not found.saves_slots
    assert not found.listens_on_sockets


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("usage: something else", "is not a llama-server"),
        (
            "llama-server: error while loading shared libraries: libcuda.so.1: cannot open shared object file: No such file",
            r"does not start; this system lacks libcuda\.so\.1",
        ),
        (HELP.replace("--slots, --no-slots", ""), r"version 6123 .* is too old: it has no --slots"),
    ],
)
def test_an_unusable_program_is_refused_with_the_reason(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(UnusableProgram, match=message):
        examine(str(describing_program(tmp_path / "server", options=options)))


def test_a_program_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "server"
    path.write_bytes(b"\x7fELF broken")
    path.chmod(0o755)
    with pytest.raises(UnusableProgram, match="--help fails"):
        choose(str(path))
    with pytest.raises(UnusableProgram, match="neither a program nor the name of one"):
        choose(str(tmp_path / "absent"))


def test_a_named_program_is_used_without_a_device(on_path: Callable[..., Path]) -> None:
    path = on_path(wheel_has_devices=True)
    for named in ("llama-server", str(path)):
        chosen = choose(named)
        assert chosen is not None
        assert chosen.path == str(path)


@pytest.mark.parametrize(
    ("devices", "wheel_has_devices", "used"), [(ONE_DEVICE, False, True), (ONE_DEVICE, True, False), ("", False, False)]
)
def test_one_on_the_path_is_used_if_only_it_has_a_device(
    on_path: Callable[..., Path], devices: str, *, wheel_has_devices: bool, used: bool
) -> None:
    on_path(devices=devices, wheel_has_devices=wheel_has_devices)
    assert (choose(None) is not None) is used
    assert choose("none") is None


def test_an_unusable_one_on_the_path_is_reported_and_not_used(
    on_path: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    on_path(options="usage: something else")
    with caplog.at_level(logging.WARNING):
        assert choose(None) is None
    assert "the llama-server on the path is not used" in caplog.text


def test_the_wheel_is_asked_for_its_devices() -> None:
    assert program._wheel_has_devices() is (sys.platform == "darwin")


def test_it_is_started_as_the_one_in_the_wheel() -> None:
    found = LlamaProgram("/bin/llama-server", "1", (("CUDA0", "a GPU"),), NEWER_HELP)
    command = found.command(CONFIG, None, ["--ctx-size", "5"])
    assert command[0] == "/bin/llama-server"
    assert values(command, "--ctx-size") == ["4000", "5"]  # the operator's arguments come last
    assert values(command, "--host") == ["/run/1.sock"]
    assert values(command, "--mmproj") == ["p.gguf"]
    assert values(command, "--slot-prompt-similarity") == ["0.0"]
    assert values(command, "--slot-save-path") == [f"/cache{os.sep}"]
    assert "--gpu-layers" not in command  # fitted by llama.cpp
    assert "--ubatch-size" not in command
    assert "secret" not in command
    assert found.environment(CONFIG)["LLAMA_API_KEY"] == "secret"


def test_an_older_one_gets_a_port_all_layers_and_only_options_that_it_has() -> None:
    command = LlamaProgram("llama-server", "1", (("CUDA0", "a GPU"),), HELP).command(CONFIG, 1234, [])
    assert values(command, "--port") == ["1234"]
    assert values(command, "--gpu-layers") == ["999"]
    assert not {"--cache-ram", "--log-verbosity", "--no-context-shift"} & set(command)


def test_one_without_a_device_reads_prompts_in_small_steps() -> None:
    command = LlamaProgram("llama-server", "1", (), NEWER_HELP).command(CONFIG, None, [])
    assert values(command, "--ubatch-size") == ["512"]  # 256 without a projector


def test_whatever_the_operator_sets_is_a_setting_of_the_saved_conversations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = LlamaProgram("llama-server", "1", (), NEWER_HELP)
    adapter = tmp_path / "adapter.gguf"
    args = ["--cache-type-k", "q8_0", "--lora", str(adapter), "--json-schema", "{" * 5000]
    seen = [found.settings([]), found.settings(args)]
    adapter.write_bytes(b"one")
    seen.append(found.settings(args))
    adapter.write_bytes(b"another")
    seen.append(found.settings(args))
    monkeypatch.setenv("LLAMA_ARG_CACHE_TYPE_V", "q8_0")
    seen.append(found.settings(args))
    assert seen[0] == []
    assert all(one != other for one, other in combinations(seen, 2))
    assert found.settings(args) == seen[-1]


@pytest.mark.parametrize(
    ("asked", "devices", "arguments"),
    [
        (AUTO, (), [*NGRAMS, "16"]),
        (AUTO, (("CUDA0", "a GPU"),), []),
        (NGRAM, (("CUDA0", "a GPU"),), [*NGRAMS, "48"]),
        (OFF, (), []),
        (Speculation(Way.MODEL, "d.gguf"), (), ["--spec-type", "draft-simple", "--spec-draft-model", "d.gguf"]),
    ],
)
def test_a_program_speculates_as_asked(asked: Speculation, devices: tuple[tuple[str, str], ...], arguments: list[str]) -> None:
    found = LlamaProgram("llama-server", "1", devices, NEWER_HELP)
    config = msgspec.structs.replace(CONFIG, speculation=found.speculation(asked, []))
    command = found.command(config, None, ["--end"])
    given = [word for word in command if word.startswith("--spec")]
    assert command[len(command) - 1 - len(arguments) : -1] == arguments
    assert given == [word for word in arguments if word.startswith("--spec")]


def test_an_older_program_speculates_only_if_asked_and_that_is_refused() -> None:
    found = LlamaProgram("llama-server", "1", (), HELP)
    assert found.speculation(AUTO, []) == AUTO.off("this llama-server cannot")
    assert found.speculation(OFF, []) == OFF
    with pytest.raises(EngineFailed, match=r"llama-server \(version 1\) cannot speculate: it has no ngram-simple, "):
        found.speculation(NGRAM, [])
    with pytest.raises(EngineFailed, match="cannot speculate: it has no draft-simple, --spec-draft-model"):
        found.speculation(Speculation(Way.MODEL, "d.gguf"), [])


@pytest.mark.parametrize("args", [["--spec-type", "ngram-mod"], ["-md", "d.gguf"]])
def test_the_operator_s_own_arguments_decide_unless_the_option_is_given(args: list[str]) -> None:
    found = LlamaProgram("llama-server", "1", (), NEWER_HELP)
    assert found.speculation(AUTO, args).way is Way.OFF
    assert found.speculation(NGRAM, args) == NGRAM

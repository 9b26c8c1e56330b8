"""A llama-server on this machine that is run in place of the one in the wheel, whatever it was built for.

Which one is used: the one that the operator names; else one on the path, if it lists a device and llama.cpp in the wheel does
not; else llama.cpp in the wheel. `examine` reads from a program's own output what it can do.
"""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from dragoman.engines.exit_status import exit_text, missing_library
from dragoman.engines.llama.child import (
    CPU_BATCH,
    LEAST_IMAGE_BATCH,
    LOAD_LOG,
    SPARE_HTTP_THREADS,
    SPIN_COUNT,
    ChildConfig,
    prompt_cache_mib,
)
from dragoman.engines.llama.speculation import DRAFT_TYPE, NGRAM_TYPE, Speculation, Way, arguments
from dragoman.errors import EngineFailed

NAME: Final = "llama-server"
NONE: Final = "none"
"""In place of a path: use no program."""

_TIMEOUT: Final = 30.0
"""Seconds that a program may take to describe itself: the first use of a driver can take some."""
_DEVICE: Final = re.compile(r"^ +(\S+): (.+ \(\d+ MiB, \d+ MiB free\))$", re.MULTILINE)
_VERSION: Final = re.compile(r"^version: (.+)$", re.MULTILINE)
_NEEDED: Final = ("--list-devices", "--slots", "--alias", "--parallel", "--threads-http", "--slot-prompt-similarity")
_SAVES: Final = "--slot-save-path"
_WANTED: Final = {
    _SAVES: "conversations are not saved on disk",
    "--fit": "layers are not fitted to the device's memory (give --gpu-layers)",
    "--cache-ram": "prompts are kept in the slots only",
}
_NGRAM_OPTIONS: Final = (NGRAM_TYPE, "--spec-ngram-simple-size-n")
_DRAFT_OPTIONS: Final = (DRAFT_TYPE, "--spec-draft-model")
_OWN_SPECULATION: Final = ("--spec-", "--model-draft", "-md", "--hf-repo-draft", "-hfd")
_WHEEL_DEVICES: Final = """
import xllamacpp
cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
print(sum(device["type"] != cpu for device in xllamacpp.get_device_info()))
"""

_log = logging.getLogger(__name__)


class UnusableProgram(Exception):
    """Raised where a program cannot be used as the engine; the message says why."""


class LlamaProgram(Struct, frozen=True):
    """A llama-server: its path, version, devices (name and description), and what it says of its options."""

    path: str
    version: str
    devices: Sequence[tuple[str, str]]
    options: str

    def has(self, option: str) -> bool:
        """Whether it has an option."""
        return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", self.options) is not None

    @property
    def missing(self) -> str:
        """What there is with the llama.cpp in the wheel, and not with this program."""
        return "; ".join(effect for option, effect in _WANTED.items() if not self.has(option))

    @property
    def saves_slots(self) -> bool:
        """Whether it can save the KV cache of slots on disk."""
        return self.has(_SAVES)

    @property
    def free_memory(self) -> int:
        """The bytes that are free on its devices."""
        return sum(int(mib) << 20 for _, device in self.devices for mib in re.findall(r"(\d+) MiB free", device))

    @property
    def listens_on_sockets(self) -> bool:
        """Whether it can listen on a unix socket."""
        return "UNIX socket" in self.options

    def command(self, config: ChildConfig, port: int | None, args: Sequence[str]) -> list[str]:
        """The command that serves what `config` says, on `port` if its host is an address. `args` come last, and win."""
        command = [self.path, "--model", config.model, "--alias", config.name, "--host", config.host]
        if port is not None:
            command += ["--port", str(port)]
        command += ["--ctx-size", str(config.context * config.parallel), "--parallel", str(config.parallel), "--slots"]
        command += ["--threads", str(config.threads), "--threads-http", str(config.parallel + SPARE_HTTP_THREADS)]
        command += ["--slot-prompt-similarity", str(config.similarity)]
        if config.projector is not None:
            command += ["--mmproj", config.projector]
        if config.saves is not None:
            command += [_SAVES, f"{config.saves}{os.sep}"]
        if self.has("--cache-ram"):
            command += ["--cache-ram", str(prompt_cache_mib(config.sharing))]
        if "trace" in self.options:
            command += ["--log-verbosity", str(LOAD_LOG)]  # the lines that `load_log` reads
        command += [option for option in ("--no-context-shift", "--no-webui") if self.has(option)]
        if config.gpu_layers is not None:
            command += ["--gpu-layers", config.gpu_layers]
        elif not self.has("--fit") and self.devices:
            command += ["--gpu-layers", "999"]  # older builds have no other word for all
        if not self.devices:
            batch = str(CPU_BATCH if config.projector is None else LEAST_IMAGE_BATCH)
            command += ["--batch-size", batch, "--ubatch-size", batch]
        command += arguments(config.speculation, on_gpu=bool(self.devices))
        return [*command, *args]

    def speculation(self, asked: Speculation, args: Sequence[str]) -> Speculation:
        """What speculates with this program. Raises `EngineFailed` if it cannot do what was asked for.

        The operator's `args` and variables decide where we are to choose.
        """
        if any(arg.startswith(_OWN_SPECULATION) for arg in args) or "LLAMA_ARG_SPEC_TYPE" in os.environ:
            asked = asked.off("arguments or variables of llama-server decide")
        needed = {Way.AUTO: _NGRAM_OPTIONS, Way.NGRAM: _NGRAM_OPTIONS, Way.MODEL: _DRAFT_OPTIONS}.get(asked.way, ())
        if lacks := [option for option in needed if not self.has(option)]:
            if asked.way is not Way.AUTO:
                raise EngineFailed(f"{self.path} (version {self.version}) cannot speculate: it has no {', '.join(lacks)}")
            asked = asked.off("this llama-server cannot")
        return asked.chosen(on_gpu=bool(self.devices))

    def settings(self, args: Sequence[str]) -> list[str]:
        """The operator's own settings, any of which may change what the program computes: arguments, and llama.cpp's variables.

        An argument that names a file, such as an adapter, comes with the file's size and time of modification. Reads files.
        """
        variables = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("LLAMA_ARG_"))
        return [*map(_with_stat, args), *variables]

    def environment(self, config: ChildConfig) -> dict[str, str]:
        """The environment of the process: it has the key, because other users can read the arguments of a process."""
        return {"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ, "LLAMA_API_KEY": config.key}


def _with_stat(argument: str) -> str:
    try:
        found = Path(argument).stat()
    except (OSError, ValueError):
        return argument
    return f"{argument} {found.st_size} {found.st_mtime_ns}"


def choose(named: str | None) -> LlamaProgram | None:
    """The program to use, None for llama.cpp in the wheel. `named` is the operator's choice: a path, a name, `NONE`, or None.

    Raises `UnusableProgram` for one that the operator named.
    """
    if named == NONE:
        return None
    path = shutil.which(named or NAME)
    if named is not None:
        if path is None:
            raise UnusableProgram(f"{named} is neither a program nor the name of one on the path")
        return examine(path)
    if path is None:
        return None
    try:
        program = examine(path)
    except UnusableProgram as reason:
        _log.warning("the llama-server on the path is not used: %s", reason)
        return None
    return program if program.devices and not _wheel_has_devices() else None


def examine(path: str) -> LlamaProgram:
    """Run the program to learn what it can do. Raises `UnusableProgram` if it is another one, too old, or does not start."""
    options = _output(path, "--help")
    if "--ctx-size" not in options:
        library = missing_library(options)
        raise UnusableProgram(f"{path} does not start{library}" if library else f"{path} is not a llama-server")
    version = _VERSION.search(_output(path, "--version"))
    program = LlamaProgram(path, version[1] if version else "unknown", (), options)
    if lacks := [option for option in _NEEDED if not program.has(option)]:
        raise UnusableProgram(f"{path} (version {program.version}) is too old: it has no {', '.join(lacks)}")
    return LlamaProgram(path, program.version, tuple(_DEVICE.findall(_output(path, "--list-devices"))), options)


def _output(path: str, option: str) -> str:
    try:
        ended = subprocess.run(  # noqa: S603 -- the operator's program
            [path, option],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnusableProgram(f"{path} {option} fails: {error}") from error
    if ended.returncode < 0:
        raise UnusableProgram(f"{path} {option} {exit_text(ended.returncode)}")
    return ended.stdout.decode(errors="replace")


def _wheel_has_devices() -> bool:
    """Whether llama.cpp in the wheel finds a device other than the CPU; it is a large library, so another process loads it."""
    asked = subprocess.run([sys.executable, "-P", "-c", _WHEEL_DEVICES], capture_output=True, check=False)  # noqa: S603
    return asked.stdout.strip() not in (b"", b"0")

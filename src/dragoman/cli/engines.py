"""Builds the engine from the options of `dragoman serve`. An engine's module is imported only if it is chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dragoman.cli.cache import default_folder
from dragoman.cli.options import Options
from dragoman.cli.speculate import speculation
from dragoman.cli.usage_error import UsageError
from dragoman.engines import Engine
from dragoman.models.fit import Fit
from dragoman.models.resolve import ModelFile
from dragoman.plugins import BadPlugin, EngineOptions, build_engine, engine_names

if TYPE_CHECKING:
    from dragoman.engines.llama.program import LlamaProgram
    from dragoman.engines.token_endpoint import TokenEndpoint

LLAMACPP, SCRIPTED, VLLM = "llamacpp", "scripted", "vllm"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file that is run on this machine: by which program (None: llama.cpp in the wheel), and with which windows.

    `sharing` is how many of them this server has.
    """

    file: ModelFile
    program: "LlamaProgram | None"
    fit: Fit
    sharing: int = 1


def build(options: Options, local: LocalModel | None) -> Engine:
    """The engine, not yet started. `local` is the model of the embedded engine. Raises `UsageError`."""
    if local is not None:
        return _embedded(options, local)
    if options.engine == SCRIPTED:
        return _scripted(options)
    if options.engine == VLLM and options.engine_url is None:
        return _started_vllm(options)
    if options.engine not in REMOTE:
        return _of_other_package(options)
    if options.engine_url is None:
        raise UsageError(f"--engine {options.engine} needs --engine-url URL.")
    _check_address(options.engine_url)
    return REMOTE[options.engine](options, options.engine_url)


def _check_address(url: str) -> None:
    """Raise `UsageError` for what is not the URL of a server, such as one without a scheme, or whose port is out of range."""
    from yarl import URL  # noqa: PLC0415

    try:
        address = URL(url)
    except ValueError as error:
        raise UsageError(f"--engine-url {url}: {error}.") from error
    is_socket = address.scheme == "unix" and address.path
    if not is_socket and (address.scheme not in ("http", "https") or not address.host):
        raise UsageError(f"--engine-url {url}: it is not a URL such as http://127.0.0.1:8000.")


def _of_other_package(options: Options) -> Engine:
    chosen = EngineOptions(options.engine_url, options.engine_key, options.model, options.context_length, options.parallel)
    try:
        return build_engine(options.engine, chosen)
    except BadPlugin as error:
        raise UsageError(str(error)) from error


def _embedded(options: Options, local: LocalModel) -> Engine:
    from dragoman.engines.llama.disk_cache import DiskSettings  # noqa: PLC0415
    from dragoman.engines.llama.embedded import EmbeddedLlama  # noqa: PLC0415

    if options.engine_args and local.program is None:
        raise UsageError("arguments after -- are for a program: give --llama-server PATH, or --engine vllm.")
    return EmbeddedLlama(
        local.file.path,
        name=local.file.id,
        context=local.fit.context,
        parallel=local.fit.parallel,
        projector=local.file.projector,
        disk=DiskSettings(options.cache_dir or default_folder(), options.cache_limit) if options.cache_limit else None,
        program=local.program,
        gpu_layers=options.gpu_layers,
        threads=options.threads,
        speculation=speculation(options.speculate, local.file.draft),
        args=options.engine_args,
        sharing=local.sharing,
    )


def llama_program(named: str | None) -> "LlamaProgram | None":
    """The llama-server that runs in place of the llama.cpp in the wheel; `named` by the user. Raises `UsageError`."""
    from dragoman.engines.llama.program import UnusableProgram, choose  # noqa: PLC0415

    try:
        return choose(named)
    except UnusableProgram as reason:
        raise UsageError(f"--llama-server: {reason}") from reason


def _scripted(options: Options) -> Engine:
    from dragoman.engines.scripted import BadScript, ScriptedEngine, read_script  # noqa: PLC0415

    if options.script is None:
        raise UsageError("--engine scripted needs --script FILE.")
    try:
        lines = read_script(options.script)
    except BadScript as error:
        raise UsageError(str(error)) from error
    return ScriptedEngine(lines, window=options.context_length or 200_000, slots=options.parallel or 64)


def _llama_server(options: Options, url: str) -> Engine:
    from dragoman.engines.llama.server import LlamaServer  # noqa: PLC0415

    return LlamaServer(url, key=options.engine_key, window=options.context_length)


def _started_vllm(options: Options) -> Engine:
    from dragoman.engines.vllm.child import NotInstalled, StartedVllm  # noqa: PLC0415
    from dragoman.engines.vllm.engine import SLOTS  # noqa: PLC0415
    from dragoman.models.folder import find_folder  # noqa: PLC0415

    if options.model is None:
        raise UsageError("--engine vllm needs --engine-url URL, or a MODEL to start vLLM with.")
    args = [*(("--max-model-len", str(options.context_length)) if options.context_length else ()), *options.engine_args]
    try:
        return StartedVllm(options.model, find_folder, tokenizer=options.tokenizer, slots=options.parallel or SLOTS, args=args)
    except NotInstalled as error:
        raise UsageError(str(error)) from error


def _vllm(options: Options, url: str) -> Engine:
    from dragoman.engines.vllm.engine import Vllm  # noqa: PLC0415

    return _by_token_endpoint(Vllm, options, url)


def _sglang(options: Options, url: str) -> Engine:
    from dragoman.engines.sglang.engine import SGLang  # noqa: PLC0415

    return _by_token_endpoint(SGLang, options, url)


def _lmdeploy(options: Options, url: str) -> Engine:
    from dragoman.engines.lmdeploy.engine import LMDeploy  # noqa: PLC0415

    return _by_token_endpoint(LMDeploy, options, url)


def _by_token_endpoint(kind: "type[TokenEndpoint]", options: Options, url: str) -> Engine:
    from dragoman.models.folder import find_folder  # noqa: PLC0415

    return kind(
        url,
        find_folder,
        key=options.engine_key,
        tokenizer=options.tokenizer,
        window=options.context_length,
        slots=options.parallel,
    )


REMOTE: Final[dict[str, Callable[[Options, str], Engine]]] = {
    "llama-server": _llama_server,
    VLLM: _vllm,
    "sglang": _sglang,
    "lmdeploy": _lmdeploy,
}
"""Remote engines, which run at a URL."""

ENGINES: Final = (LLAMACPP, SCRIPTED, *REMOTE, *engine_names())

"""`dragoman serve`: checks the options and runs the server."""

import logging
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dragoman.cli.access import Access
from dragoman.cli.durations import KeepAlive
from dragoman.cli.engines import ENGINES, LLAMACPP
from dragoman.cli.entries import build_entries
from dragoman.cli.folders import check_writable, data_folder
from dragoman.cli.options import Options, check_gpu_layers
from dragoman.cli.served_models import served_models
from dragoman.cli.sizes import Size
from dragoman.cli.speculate import AUTO
from dragoman.cli.usage_error import UsageError
from dragoman.cli.vision import build_vision
from dragoman.cli.workers import own_listener, run_workers
from dragoman.limits import DEFAULT, Limits
from dragoman.media.vision import Vision
from dragoman.observability import LOG_FORMATS
from dragoman.server import ModelEntry, ModelRegistry, Settings


@click.command(short_help="Serve a model.")
@click.argument("model", required=False)
@click.argument("engine_args", nargs=-1, metavar="[-- ENGINE ARGS]")
@click.option("--small", metavar="MODEL", help="A second, small model, for names with haiku; named like MODEL.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve the models of this file, each with its options (docs/models.md), in place of MODEL.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one."
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=LLAMACPP,
    show_default=True,
    help="The engine that runs the model.",
)
@click.option(
    "--mmproj",
    metavar="FILE|none",
    help="Image projector of MODEL; otherwise the one beside it, or in its repository. With none, images become notes.",
)
@click.option(
    "--llama-server",
    metavar="PATH|none",
    help="The llama-server to start in place of the llama.cpp in the wheel; otherwise one on the path, if only it has a GPU.",
)
@click.option(
    "--gpu-layers", metavar="N|auto|all", callback=check_gpu_layers, help="Layers of MODEL on GPUs; otherwise as many as fit."
)
@click.option(
    "--speculate",
    default=AUTO,
    show_default=True,
    metavar="auto|off|ngram|DRAFT_MODEL",
    help="Draft tokens, which MODEL checks several at a time: from n-grams of the conversation, or with a small model.",
)
@click.option(
    "--vision-model",
    metavar="MODEL|URL",
    help="Model that describes images for one that does not see: named like MODEL, or the address of a Messages API.",
)
@click.option("--vision-key", metavar="KEY", help="API key of the vision model's address.")
@click.option("--engine-url", metavar="URL", help="Address of a remote engine.")
@click.option("--engine-key", metavar="KEY", help="API key of the remote engine.")
@click.option("--tokenizer", metavar="DIR|REPO", help="Tokenizer and chat template, if not those of the engine's model.")
@click.option("--script", type=click.Path(path_type=Path), metavar="FILE", help="Answers of the scripted engine: JSON lines.")
@click.option("--dialect", metavar="NAME", help="How the model writes reasoning and tool calls; otherwise detected.")
@click.option(
    "--tool-call-parser", metavar="NAME", help="Dialect of tool calls, by the name of a vLLM, SGLang or LMDeploy parser."
)
@click.option("--reasoning-parser", metavar="NAME", help="Dialect of reasoning, by such a name.")
@click.option("--api-key", metavar="KEY", help="Require this key from clients.")
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Require one of the keys in this file, each with a name and its limits; read again on SIGHUP.",
)
@click.option("--no-auth", is_flag=True, help="Serve other machines without a key.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Serve HTTPS with this certificate (PEM).")
@click.option(
    "--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Private key of the certificate, if not in its file."
)
@click.option(
    "--context-length", type=click.IntRange(min=16), metavar="N", help="Context window of one conversation, in tokens."
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the embedded engine saves the KV cache of conversations; by default below the user's cache folder.",
)
@click.option(
    "--cache-limit",
    type=Size(),
    default="10GB",
    show_default=True,
    help="How much it may save there; with 0, nothing.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where stored responses of the Responses API are kept; by default below the user's data folder.",
)
@click.option(
    "--responses-limit",
    type=Size(),
    default="1GB",
    show_default=True,
    help="How much they may take; beyond it, those used least recently are removed. With 0, none is stored.",
)
@click.option(
    "--responses-age",
    type=KeepAlive(),
    default="30d",
    show_default=True,
    metavar="TIME|never",
    help="How long after its last use a stored response is removed.",
)
@click.option("--parallel", type=click.IntRange(min=1), metavar="N", help="Requests processed at once.")
@click.option(
    "--memory",
    type=Size(),
    metavar="SIZE",
    help="How much memory the models may take together; otherwise what is free. With more than one, others are unloaded.",
)
@click.option(
    "--keep-alive",
    type=KeepAlive(),
    default="never",
    show_default=True,
    metavar="TIME|never",
    help="How long a model stays loaded without requests, such as 5m.",
)
@click.option(
    "--queue",
    default=256,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Requests that may wait; beyond it, 529.",
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), metavar="N", help="Gateway processes on the port."
)
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="Another name for the model; may be repeated.")
@click.option("--any-model", is_flag=True, help="Accept every model name.")
@click.option("--strict", is_flag=True, help="Refuse unknown fields, and fields that the newest API version removed.")
@click.option("--fetch-urls", is_flag=True, help="Fetch images and documents that clients send by URL, from public addresses.")
@click.option(
    "--strict-input", is_flag=True, help="Refuse what the model cannot see or read instead of putting a note in its place."
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin of web pages that may use the server, in addition to this machine's; * for all; may be repeated.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Host name that a server without a key accepts, in addition to this machine's; * for all; may be repeated.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=N",
    help="Limit on the contents of a request, such as tools=4000 (docs/security.md); may be repeated.",
)
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Lowest level that is logged.",
)
@click.option(
    "--log-format",
    default="text",
    show_default=True,
    type=click.Choice(list(LOG_FORMATS)),
    help="Log lines as text or as JSON.",
)
@click.option(
    "--capture",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write every request and its answer to this folder, without secrets, for `dragoman replay`.",
)
def serve(**given: Any) -> None:
    """Serve MODEL: a path to a .gguf file or hf:OWNER/REPO[:QUANT].

    Without MODEL the small default model is served, if it is installed, as in a clone; otherwise the models that fit this
    machine are named.

    With --engine vllm, MODEL is a model folder or OWNER/REPO, with which vLLM is started. For a remote engine give --engine-url
    instead.
    """
    options = Options(**given)
    _log(options)
    check_writable(options.capture, "capture")
    check_writable(options.cache_dir if options.cache_limit else None, "save conversations")
    check_writable(options.data_dir if options.responses_limit else None, "store responses")
    access = Access.of(options)
    models = served_models(options)
    settings = Settings(
        any_model=options.any_model,
        queue=options.queue,
        strict=options.strict,
        strict_input=options.strict_input,
        fetch_urls=options.fetch_urls,
        capture=options.capture,
        cors_origins=options.cors_origins,
        hosts=access.hosts,
        limits=_limits(options),
        data=options.data_dir or data_folder(),
        responses_limit=options.responses_limit,
        responses_age=options.responses_age,
    )
    vision, reserved = build_vision(options)
    entries, memory = build_entries(models, options.memory, reserved)
    registry = _registry(entries, settings, vision, memory)
    listener = _listen(options.host, options.port)

    from dragoman.cli.run import run  # noqa: PLC0415 -- the HTTP stack is not needed to report a wrong path

    if options.workers == 1:
        sys.exit(run(registry, listener, access))
    counts = Path(tempfile.mkdtemp(prefix="dragoman-"))

    def work(index: int) -> int:
        registry = _registry(entries, settings, vision, memory)
        return run(registry, own_listener(listener), access, announces=index == 0, counts=counts)

    code = run_workers(options.workers, work, reload=bool(access.files))
    shutil.rmtree(counts, ignore_errors=True)  # only the parent process gets here
    sys.exit(code)


def _registry(entries: Sequence[ModelEntry], settings: Settings, vision: Vision | None, memory: int | None) -> ModelRegistry:
    try:
        return ModelRegistry(entries, settings, vision, memory)
    except ValueError as error:
        raise UsageError(f"{error}: in a file (--models FILE) each model has a name of its own.") from error


def _log(options: Options) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(LOG_FORMATS[options.log_format]())
    logging.basicConfig(level=options.log_level.upper(), handlers=[handler])
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING if options.log_level == "info" else logging.NOTSET)


def _limits(options: Options) -> Limits:
    pairs = [given.partition("=") for given in options.limits]
    try:
        return DEFAULT.changed((name, int(number)) for name, _, number in pairs)
    except ValueError as error:
        raise UsageError(f"--limit: {error}") from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener

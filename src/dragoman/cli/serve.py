"""`dragoman serve`: checks the options and runs the server."""

import logging
import socket
import sys
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from dragoman.cli.access import Access, is_loopback
from dragoman.cli.durations import KeepAlive
from dragoman.cli.engines import ENGINES, LLAMACPP
from dragoman.cli.folders import check_writable
from dragoman.cli.model_list import ModelList
from dragoman.cli.options import Options, check_gpu_layers
from dragoman.cli.server_tools import server_tool_settings
from dragoman.cli.sizes import Size
from dragoman.cli.speculate import AUTO
from dragoman.cli.storage import place_of
from dragoman.cli.usage_error import UsageError
from dragoman.cli.vision import build_vision
from dragoman.limits import DEFAULT, Limits
from dragoman.observability import LOG_FORMATS
from dragoman.observability.recent import Inspect
from dragoman.server import Settings


@click.command(short_help="Serve a model.")
@click.argument("model", required=False)
@click.argument("engine_args", nargs=-1, metavar="[-- ENGINE ARGS]")
@click.option("--small", metavar="MODEL", help="A second, small model, for names with haiku; named like MODEL.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve the models of this file, each with its options (docs/models.md), in place of MODEL; read again on SIGHUP.",
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
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads that llama.cpp computes with on the CPU; otherwise one per fast core, within the limits of a container.",
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
    help="Where batches, files and stored responses are kept; by default below the user's data folder.",
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
@click.option(
    "--database",
    metavar="URL",
    help="Postgres database for batches, files and stored responses in place of --data-dir, for several gateways: postgresql://…",
)
@click.option(
    "--files-store",
    metavar="URL",
    help="S3-compatible store for the contents of files in place of --data-dir: s3://BUCKET/PREFIX, with the variables AWS_….",
)
@click.option(
    "--files-limit",
    type=Size(),
    default="10GB",
    show_default=True,
    help="How much uploaded files may take together; what is beyond it is refused.",
)
@click.option(
    "--batch-slots",
    type=click.IntRange(min=1),
    metavar="N",
    help="Slots of each model that batches use while no other request wants them; by default all but one.",
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
    "--web-search",
    metavar="PROVIDER[:URL]",
    help="Run the tool web_search: searxng:URL, brave, tavily, duckduckgo, or command:COMMAND (docs/server-tools.md).",
)
@click.option("--web-search-key", metavar="KEY", help="API key of the search provider.")
@click.option(
    "--web-fetch", is_flag=True, help="Run the tool web_fetch: read web pages that a conversation names (docs/server-tools.md)."
)
@click.option(
    "--mcp-host",
    "mcp_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Host of MCP servers whose tools requests may use (docs/server-tools.md); may be repeated.",
)
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
@click.option("--capture-limit", type=Size(), help="How much they may take there; beyond it, the oldest are removed.")
@click.option(
    "--capture-age",
    type=KeepAlive(),
    metavar="TIME|never",
    help="How old they may get there, such as 7d; older ones are removed.",
)
@click.option(
    "--traces",
    is_flag=True,
    help="Export a trace of each request by OpenTelemetry (the extra otel); OTEL_EXPORTER_OTLP_ENDPOINT says where to.",
)
@click.option(
    "--inspect",
    type=click.Choice([mode.value for mode in Inspect]),
    help="What the page at / shows of the last requests, from memory; by default full, beyond this machine metadata.",
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
    _check_capture(options)
    _check_traces(options)
    check_writable(options.cache_dir if options.cache_limit else None, "save conversations")
    check_writable(options.data_dir, "store responses and files")
    access = Access.of(options)
    settings = Settings(
        any_model=options.any_model,
        queue=options.queue,
        strict=options.strict,
        strict_input=options.strict_input,
        fetch_urls=options.fetch_urls,
        server_tools=server_tool_settings(options),
        capture=options.capture,
        capture_limit=options.capture_limit,
        capture_age=options.capture_age,
        traces=options.traces,
        inspect=inspect_mode(options),
        cors_origins=options.cors_origins,
        hosts=access.hosts,
        limits=_limits(options),
        place=place_of(options),
        responses_limit=options.responses_limit,
        responses_age=options.responses_age,
        files_limit=options.files_limit,
        batch_slots=options.batch_slots,
    )
    vision, reserved = build_vision(options)
    models = ModelList(options, reserved)
    registry = partial(models.registry, settings, vision)
    listener = _listen(options.host, options.port)

    from dragoman.cli.run import run  # noqa: PLC0415 -- the HTTP stack is not needed to report a wrong path
    from dragoman.cli.several_workers import run_workers  # noqa: PLC0415

    if options.workers == 1:
        sys.exit(run(registry(), models, listener, access))
    sys.exit(run_workers(options.workers, registry, models, listener, access))


def inspect_mode(options: Options) -> Inspect:
    """Return what is kept of requests."""
    if options.inspect is None:
        return Inspect.FULL if is_loopback(options.host) else Inspect.METADATA
    return Inspect(options.inspect)


def _log(options: Options) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(LOG_FORMATS[options.log_format]())
    logging.basicConfig(level=options.log_level.upper(), handlers=[handler])
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING if options.log_level == "info" else logging.NOTSET)


def _check_capture(options: Options) -> None:
    """Raise `UsageError` if the folder cannot be written, or if there are limits without a folder."""
    if options.capture is None and (options.capture_limit, options.capture_age) != (None, None):
        raise UsageError("--capture-limit and --capture-age need --capture DIR.")
    check_writable(options.capture, "capture")


def _check_traces(options: Options) -> None:
    """Raise `UsageError` if traces are wanted and what exports them is not installed."""
    if not options.traces:
        return
    with suppress(ModuleNotFoundError):  # a package above it is missing
        if find_spec("opentelemetry.exporter.otlp.proto.http") is not None:
            return
    raise UsageError("--traces needs the extra otel: pip install 'dragoman[otel]'.")


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

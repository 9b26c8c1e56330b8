"""The options of `dragoman serve`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

GPU_LAYERS: Final = re.compile(r"auto|all|[0-9]+")


def check_gpu_layers(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """The callback of `--gpu-layers`."""
    if given is None or GPU_LAYERS.fullmatch(given):
        return given
    raise click.BadParameter("it is a number of layers, or auto, or all")


@dataclass(frozen=True, slots=True)
class Options:
    """The values, by the names of the options."""

    model: str | None
    small: str | None
    models: Path | None
    engine_args: tuple[str, ...]
    host: str
    port: int
    mmproj: str | None
    llama_server: str | None
    gpu_layers: str | None
    threads: int | None
    speculate: str
    engine: str
    engine_url: str | None
    engine_key: str | None
    tokenizer: str | None
    script: Path | None
    dialect: str | None
    tool_call_parser: str | None
    reasoning_parser: str | None
    api_key: str | None
    keys: Path | None
    no_auth: bool
    tls_cert: Path | None
    tls_key: Path | None
    context_length: int | None
    cache_dir: Path | None
    cache_limit: int
    data_dir: Path | None
    responses_limit: int
    responses_age: float | None
    database: str | None
    files_store: str | None
    files_limit: int
    batch_slots: int | None
    parallel: int | None
    memory: int | None
    keep_alive: float | None
    queue: int
    workers: int
    aliases: tuple[str, ...]
    any_model: bool
    strict: bool
    strict_input: bool
    fetch_urls: bool
    web_fetch: bool
    mcp_hosts: tuple[str, ...]
    web_search: str | None
    web_search_key: str | None
    vision_model: str | None
    vision_key: str | None
    log_level: str
    log_format: str
    capture: Path | None
    capture_limit: int | None
    capture_age: float | None
    traces: bool
    inspect: str | None
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    limits: tuple[str, ...]

"""Dialects by name: ours, and those that users of vLLM, SGLang and LMDeploy know their parsers by."""

from collections.abc import Mapping
from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families import ALL

BY_NAME: Mapping[str, Dialect] = {dialect.name: dialect for dialect in ALL}

TOOL_PARSERS: Mapping[str, str] = {
    "hermes": "hermes",  # vLLM, SGLang
    "qwen25": "hermes",  # SGLang
    "qwen2d5": "hermes",  # LMDeploy
    "qwen": "qwen3",  # SGLang, LMDeploy
    "qwen3": "qwen3",  # LMDeploy
    "ernie45": "ernie-4.5",  # vLLM
    "granite-20b-fc": "granite-20b-fc",  # vLLM
    "granite4": "granite-4",  # vLLM
    "hunyuan": "hunyuan-a13b",  # SGLang
    "hunyuan_a13b": "hunyuan-a13b",  # vLLM
    "jamba": "jamba",  # vLLM
    "longcat": "longcat",  # vLLM
    "nemotron_nano_v2": "nemotron-nano-v2",  # vLLM
}

REASONING_PARSERS: Mapping[str, str] = {
    "qwen3": "qwen3",  # vLLM, SGLang
    "qwen3-thinking": "qwen3",  # SGLang
    "default": "qwen3",  # LMDeploy
    "ernie45": "ernie-4.5",  # vLLM
    "hunyuan": "hunyuan-a13b",  # SGLang
    "hunyuan_a13b": "hunyuan-a13b",  # vLLM
}

DEFAULT = BY_NAME["qwen3"]
"""The dialect of models that have none of their own: tools are explained to them in it, and `<think>` is read if it comes."""


class UnknownDialect(LookupError):
    """A name that no dialect goes by. The message lists the names that there are."""

    def __init__(self, kind: str, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known are {', '.join(sorted(known))}")


def get(name: str) -> Dialect:
    """The dialect of this name. Raises `UnknownDialect`."""
    return _look_up("dialect", name, {known: known for known in BY_NAME})


def by_tool_parser(name: str) -> Dialect:
    """The dialect whose calls a tool parser of this name reads, or the dialect of this name. Raises `UnknownDialect`."""
    return _look_up("tool parser", name, _with_dialects(TOOL_PARSERS))


def by_reasoning_parser(name: str) -> Dialect:
    """The dialect whose reasoning a parser of this name reads, or the dialect of this name. Raises `UnknownDialect`."""
    return _look_up("reasoning parser", name, _with_dialects(REASONING_PARSERS))


def combine(calls: Dialect, reasoning: Dialect) -> Dialect:
    """The calls of one dialect with the reasoning of another: blocks are orthogonal."""
    if calls.reasoning == reasoning.reasoning:
        return calls
    return replace(calls, name=f"{calls.name}+{reasoning.name}", reasoning=reasoning.reasoning)


def _with_dialects(aliases: Mapping[str, str]) -> dict[str, str]:
    return {**{name: name for name in BY_NAME}, **aliases}


def _look_up(kind: str, name: str, names: Mapping[str, str]) -> Dialect:
    """Spelling with `-` or `_`, and in any case, is the same name."""
    known = {_plain(spelling): target for spelling, target in names.items()}
    try:
        return BY_NAME[known[_plain(name)]]
    except KeyError:
        raise UnknownDialect(kind, name, names) from None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")

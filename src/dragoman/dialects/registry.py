"""Dialects by their own names and by the names of the parsers of vLLM, SGLang and LMDeploy."""

from collections.abc import Mapping
from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families import ALL

BY_NAME: dict[str, Dialect] = {dialect.name: dialect for dialect in ALL}
"""Every known dialect. `register` adds those of other packages."""

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
    "apertus": "apertus",  # vLLM
    "apertus2509": "apertus",  # SGLang
    "cohere_command3": "command-r7b",  # vLLM
    "cohere_command4": "command-a-2026",  # vLLM, SGLang
    "deepseek_v3": "deepseek-r1",  # vLLM
    "deepseekv3": "deepseek-r1",  # SGLang
    "deepseek_v31": "deepseek-v3.1",  # vLLM
    "deepseekv31": "deepseek-v3.1",  # SGLang
    "gigachat3": "gigachat3",  # vLLM, SGLang
    "openai": "gpt-oss",  # vLLM
    "granite": "granite-3",  # vLLM
    "internlm": "internlm2",  # vLLM, LMDeploy
    "intern-s1": "interns1",  # LMDeploy
    "kimi_k2": "kimi-k2",  # vLLM, SGLang
    "llama3_json": "llama3-json",  # vLLM
    "llama4_json": "llama3-json",  # vLLM
    "llama3": "llama3-json",  # SGLang, LMDeploy
    "mistral": "mistral-v11",  # vLLM, SGLang: it reads the older array as well
    "phi4_mini_json": "phi-4-mini",  # vLLM
    "xlam": "xlam",  # vLLM
    "qwen3_coder": "qwen3-coder",  # vLLM, SGLang
    "qwen3_xml": "qwen3-coder",  # vLLM
    "qwen3coder": "qwen3-coder",  # LMDeploy
    "interns2-preview": "qwen3-coder",  # LMDeploy
    "mimo": "qwen3-coder",  # vLLM, SGLang
    "deepseek_v32": "deepseek-v3.2",  # vLLM, LMDeploy
    "deepseekv32": "deepseek-v3.2",  # SGLang
    "deepseek_v4": "deepseek-v4",  # vLLM, LMDeploy
    "deepseekv4": "deepseek-v4",  # SGLang
    "llama4_pythonic": "llama4-pythonic",  # vLLM
    "pythonic": "llama3.2-pythonic",  # vLLM, SGLang
    "glm45": "glm-4.5",  # vLLM, SGLang
    "glm47": "glm-4.7",  # vLLM, SGLang, LMDeploy
    "glm": "glm-4.7",  # SGLang
    "ling3": "ling3",  # SGLang
    "hy_v3": "hy-v3",  # vLLM
    "kimi_k3": "kimi-k3",  # vLLM, SGLang
    "minimax_m2": "minimax-m2",  # vLLM, SGLang
    "minimax_m3": "minimax-m3",  # vLLM, SGLang
    "lfm2": "lfm2",  # vLLM, SGLang
    "functiongemma": "functiongemma",  # vLLM
    "gemma4": "gemma4",  # vLLM, SGLang
    "seed_oss": "seed-oss",  # vLLM
    "step3": "step3",  # vLLM, SGLang
    "step3p5": "step3.5",  # vLLM, SGLang
    "olmo3": "olmo3",  # vLLM
    "minicpm5": "minicpm5",  # vLLM, SGLang
    "muse": "muse-glimmer",  # SGLang
}

REASONING_PARSERS: Mapping[str, str] = {
    "qwen3": "qwen3",  # vLLM, SGLang
    "qwen3-thinking": "qwen3",  # SGLang
    "default": "qwen3",  # LMDeploy
    "ernie45": "ernie-4.5",  # vLLM
    "hunyuan": "hunyuan-a13b",  # SGLang
    "hunyuan_a13b": "hunyuan-a13b",  # vLLM
    "apertus2509": "apertus",  # SGLang
    "cohere_command3": "command-r7b",  # vLLM
    "cohere_command4": "command-a-2026",  # vLLM, SGLang
    "deepseek_r1": "deepseek-r1",  # vLLM, SGLang
    "deepseek_v3": "deepseek-v3.1",  # vLLM, SGLang, LMDeploy
    "openai_gptoss": "gpt-oss",  # vLLM
    "gpt-oss": "gpt-oss",  # SGLang
    "granite": "granite-3",  # vLLM
    "intern-s1": "interns1",  # LMDeploy
    "interns1": "interns1",  # SGLang
    "kimi": "kimi-k2",  # SGLang
    "kimi_k2": "kimi-k2",  # vLLM, SGLang
    "mistral": "ministral3",  # vLLM, SGLang
    "mimo": "qwen3.5",  # vLLM, SGLang
    "deepseek_v4": "deepseek-v4",  # vLLM, SGLang, LMDeploy
    "deepseek-v32": "deepseek-v3.2",  # LMDeploy
    "glm45": "glm-4.5",  # vLLM, SGLang
    "hy_v3": "hy-v3",  # vLLM
    "kimi_k3": "kimi-k3",  # vLLM, SGLang
    "minimax_m2": "minimax-m2",  # vLLM
    "minimax": "minimax-m2",  # SGLang
    "minimax_m2_append_think": "minimax-m2",  # vLLM
    "minimax-append-think": "minimax-m2",  # SGLang
    "minimax_m3": "minimax-m3",  # vLLM, SGLang
    "gemma4": "gemma4",  # vLLM, SGLang
    "nemotron_v3": "nemotron-3",  # vLLM
    "nemotron_3": "nemotron-3",  # SGLang
    "seed_oss": "seed-oss",  # vLLM
    "step3": "step3",  # vLLM, SGLang
    "step3p5": "step3.5",  # vLLM, SGLang
    "olmo3": "olmo3",  # vLLM
}

DEFAULT = BY_NAME["qwen3"]
"""The dialect of models that have none of their own: their tools are described in it, and `<think>` is read if it comes."""


class UnknownDialect(LookupError):
    """No dialect has this name. The message lists the known names."""

    def __init__(self, kind: str, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")


def register(dialect: Dialect) -> None:
    """Add a dialect of another package. Raises `ValueError` if another dialect has its name."""
    if BY_NAME.setdefault(dialect.name, dialect) != dialect:
        raise ValueError(f"the dialect {dialect.name!r} exists already")


def get(name: str) -> Dialect:
    """The dialect of this name. Raises `UnknownDialect`."""
    return _look_up("dialect", name, {known: known for known in BY_NAME})


def by_tool_parser(name: str) -> Dialect:
    """The dialect of the calls that a tool parser of this name reads, or the dialect of this name. Raises `UnknownDialect`."""
    return _look_up("tool parser", name, _with_dialects(TOOL_PARSERS))


def by_reasoning_parser(name: str) -> Dialect:
    """The dialect of the reasoning that a parser of this name reads, or the dialect of this name. Raises `UnknownDialect`."""
    return _look_up("reasoning parser", name, _with_dialects(REASONING_PARSERS))


def combine(calls: Dialect, reasoning: Dialect) -> Dialect:
    """A dialect with the calls of one dialect and the reasoning of another."""
    if calls.reasoning == reasoning.reasoning:
        return calls
    return replace(calls, name=f"{calls.name}+{reasoning.name}", reasoning=reasoning.reasoning)


def _with_dialects(aliases: Mapping[str, str]) -> dict[str, str]:
    return {**{name: name for name in BY_NAME}, **aliases}


def _look_up(kind: str, name: str, names: Mapping[str, str]) -> Dialect:
    """The dialect of a name; case, and `-` or `_`, make no difference."""
    known = {_normalized(spelling): target for spelling, target in names.items()}
    try:
        return BY_NAME[known[_normalized(name)]]
    except KeyError:
        raise UnknownDialect(kind, name, names) from None


def _normalized(name: str) -> str:
    return name.lower().replace("-", "_")

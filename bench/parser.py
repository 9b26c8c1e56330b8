"""The speed of the parser: characters per second on one core, in chunks of four characters, as engines stream."""

import json
import time
from statistics import median

from bench.report import Row
from dragoman import dialects
from dragoman.conversation import ToolCall

CHUNK = 4  # characters: about a token
DIALECTS = {
    "hermes": "JSON object",
    "mistral-v3": "JSON array",
    "qwen3-coder": "tagged parameters",
    "gemma4": "dict with quotes of its own",
    "lfm2": "Python call",
    "minimax-m3": "tree of elements",
    "gpt-oss": "messages with headers",
}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
PROSE = "The river ran past old stone mills, while seven grey birds watched a boat go by.\n"
CODE = 'def add(a, b):\n    """Adds them."""\n    return {"sum": a + b}  # it\'s < that\n\n\n'
LENGTH = 20_000  # characters of each text


def _speed(name: str, output: str, *, thinking_open: bool = False) -> float:
    """Characters per second of one pass."""
    chunks = [output[start : start + CHUNK] for start in range(0, len(output), CHUNK)]
    parser = dialects.get(name).parser({"write": SCHEMA}, thinking_open=thinking_open)
    began = time.perf_counter()
    for chunk in chunks:
        parser.feed(chunk)
    parser.finish(cut=False)
    return len(output) / (time.perf_counter() - began)


def _outputs() -> dict[str, tuple[str, str, bool]]:
    """By figure: the dialect, the text, and whether it begins inside reasoning."""
    prose = PROSE * (LENGTH // len(PROSE))
    code = CODE * (LENGTH // len(CODE))
    found = {"parser, text": ("qwen3", prose, False), "parser, thinking": ("qwen3", prose, True)}
    for name, codec in DIALECTS.items():
        call = dialects.get(name).encode_calls([ToolCall("1", "write", {"path": "a.py", "content": code})])
        found[f"parser, 20 KB argument, {codec} ({name})"] = (name, call, False)
    return found


async def measure(runs: int) -> list[Row]:
    """Measure every figure `runs` times; `json.loads` of a whole text gives the scale, as there is no rival that streams."""
    rows = []
    for figure, (name, output, thinking_open) in _outputs().items():
        speeds = [_speed(name, output, thinking_open=thinking_open) for _ in range(runs + 1)][1:]
        rows.append(Row(figure, f"{median(speeds) / 1e6:.2f}", "", "million characters/s", ""))
    text = json.dumps({"content": CODE * (LENGTH // len(CODE))})
    began = time.perf_counter()
    json.loads(text)
    speed = len(text) / (time.perf_counter() - began)
    return [*rows, Row("for scale: json.loads of the whole text", f"{speed / 1e6:.0f}", "", "million characters/s", "")]

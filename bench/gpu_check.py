"""Checks Dragoman with the real vLLM, SGLang and LMDeploy, on a machine with a GPU and these engines.

    python -m bench.gpu_check [--model OWNER/REPO or FOLDER] [vllm] [sglang] [lmdeploy]

Each engine is started with a small model, as its users start it, then `dragoman serve` in front of it. Each check prints "ok"
or the problem. Engines that are not installed are reported. The exit code is 1 if a check failed, and 2 if nothing was checked.
"""

import argparse
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench.processes import dragoman, listening, nonce

MODEL: Final = "Qwen/Qwen3-0.6B"
"""A small model with thinking and tools that every engine supports."""
STARTS_WITHIN: Final = 900
"""Seconds until an engine must answer: it compiles kernels at its first start."""
CONTEXT: Final = 8192

COMMANDS: Final[dict[str, Callable[[str, int], list[str]]]] = {
    "vllm": lambda model, port: [
        *("vllm", "serve", model, "--port", str(port), "--max-model-len", str(CONTEXT), "--enable-prompt-tokens-details")
    ],
    "sglang": lambda model, port: [
        *(sys.executable, "-m", "sglang.launch_server", "--model-path", model, "--port", str(port)),
        *("--context-length", str(CONTEXT)),
    ],
    "lmdeploy": lambda model, port: [
        *("lmdeploy", "serve", "api_server", model, "--server-port", str(port), "--session-len", str(CONTEXT)),
        "--enable-prefix-caching",
    ],
}
INSTALLED: Final[dict[str, Callable[[], bool]]] = {
    "vllm": lambda: shutil.which("vllm") is not None,
    "sglang": lambda: subprocess.run([sys.executable, "-c", "import sglang"], capture_output=True, check=False).returncode == 0,
    "lmdeploy": lambda: shutil.which("lmdeploy") is not None,
}

TOOL: Final = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Client:
    """A client of the gateway."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str = "/v1/messages", *, prompt: str = "Say hello.", **fields: Any) -> tuple[int, Any]:
        """The status and the body; for a stream, the list of its events."""
        body = {"model": "claude-check", "messages": [{"role": "user", "content": prompt}], **fields}
        if path == "/v1/messages":
            body.setdefault("max_tokens", 256)
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                status, content = answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            status, content = refusal.code, refusal.read().decode()
        if fields.get("stream") and status == 200:
            return status, [json.loads(line[6:]) for line in content.splitlines() if line.startswith("data: ")]
        return status, json.loads(content)

    def message(self, **fields: Any) -> Any:
        """The message; raises `RuntimeError` for any other answer."""
        status, body = self.post(**fields)
        if status != 200:
            raise RuntimeError(f"status {status}: {body['error']['message']}")
        return body


def _text(client: Client) -> bool:
    message = client.message(prompt="What is the capital of France? One word.", max_tokens=1024)
    return "Paris" in "".join(block.get("text", "") for block in message["content"]) and message["stop_reason"] == "end_turn"


def _characters(client: Client) -> bool:
    message = client.message(prompt="Repeat exactly, and nothing else: 🦊é漢字", max_tokens=1024)
    return "\ufffd" not in json.dumps(message, ensure_ascii=False) and bool(message["content"])


def _thinking(client: Client) -> bool:
    message = client.message(prompt="What is 17 + 25?", max_tokens=2048, thinking={"type": "enabled", "budget_tokens": 1024})
    return [block["type"] for block in message["content"]][:1] == ["thinking"]


def _streamed(client: Client) -> bool:
    _, events = client.post(stream=True, thinking={"type": "disabled"})
    kinds = [event["type"] for event in events]
    return kinds[0] == "message_start" and kinds[-1] == "message_stop" and kinds.count("content_block_delta") > 1


def _forced(client: Client) -> bool:
    choice = {"type": "tool", "name": "weather"}
    message = client.message(prompt="How is the weather in Ulm?", tools=[TOOL], tool_choice=choice, max_tokens=512)
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    return message["stop_reason"] == "tool_use" and len(calls) == 1 and isinstance(calls[0]["input"].get("city"), str)


def _limit(client: Client) -> bool:
    message = client.message(max_tokens=5, thinking={"type": "disabled"})
    return message["stop_reason"] == "max_tokens" and message["usage"]["output_tokens"] == 5


def _no_output(client: Client) -> bool:
    message = client.message(max_tokens=0)
    return message["content"] == [] and message["usage"]["output_tokens"] == 0


def _stopped(client: Client) -> bool:
    fields = {"stop_sequences": ["4"], "thinking": {"type": "disabled"}}
    message = client.message(prompt="Count from 1 to 9: 1, 2, 3,", **fields)
    return (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "4")


def _counted(client: Client) -> bool:
    prompt = f"Say yes. {nonce()}"
    _, counted = client.post("/v1/messages/count_tokens", prompt=prompt)
    usage = client.message(prompt=prompt, max_tokens=1)["usage"]
    return bool(usage["input_tokens"] + usage["cache_read_input_tokens"] == counted["input_tokens"])


def _cached(client: Client) -> bool:
    prompt = f"{nonce()} " + "A long story about a fox in the rain. " * 100
    usages = [client.message(prompt=prompt, max_tokens=8)["usage"] for _ in range(2)]
    return usages[1]["cache_read_input_tokens"] > usages[0]["cache_read_input_tokens"]


def _too_long(client: Client) -> bool:
    status, body = client.post(prompt="fox " * 2 * CONTEXT)
    return status == 400 and "prompt is too long" in body["error"]["message"]


def _full_window(client: Client) -> bool:
    """Whether an answer can use the whole rest of the window without a refusal of the engine."""
    message = client.message(prompt="fox " * (CONTEXT - 200), max_tokens=CONTEXT)
    return message["stop_reason"] in ("end_turn", "model_context_window_exceeded", "max_tokens")


CHECKS: Final[dict[str, Callable[[Client], bool]]] = {
    "text": _text,
    "characters": _characters,
    "thinking": _thinking,
    "stream": _streamed,
    "a forced call": _forced,
    "max_tokens": _limit,
    "max_tokens 0": _no_output,
    "stop sequence": _stopped,
    "counts": _counted,
    "cached tokens": _cached,
    "prompt too long": _too_long,
    "a full window": _full_window,
}


def _check(name: str, model: str) -> list[str]:
    """Run all checks with one engine; returns the names of those that failed."""
    failed = []
    with (
        listening(partial(COMMANDS[name], model), "/v1/models", within=STARTS_WITHIN) as (engine, _),
        dragoman("--engine", name, "--engine-url", engine, "--tokenizer", model) as (url, _),
    ):
        with urllib.request.urlopen(f"{url}/health", timeout=30) as health:
            print(json.dumps(json.load(health)["engine"], indent=2))
        client = Client(url)
        for what, check in CHECKS.items():
            try:
                seen = "ok" if check(client) else "wrong"
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
            print(f"{name:10} {what:20} {seen}", flush=True)
            failed += [what] if seen != "ok" else []
    return failed


def main() -> int:
    """Check the named engines, or all that are installed."""
    arguments = argparse.ArgumentParser(prog="python -m bench.gpu_check")
    arguments.add_argument("engines", nargs="*", choices=[*COMMANDS, []], help="engines to check; all by default")
    arguments.add_argument("--model", default=MODEL)
    options = arguments.parse_args()
    results: dict[str, list[str]] = {}
    for name in options.engines or COMMANDS:
        if not INSTALLED[name]():
            print(f"{name:10} is not installed here")
            continue
        try:
            results[name] = _check(name, options.model)
        except (RuntimeError, StopIteration, OSError) as error:
            results[name] = [f"did not start: {error}"]
    for name, failed in results.items():
        print(f"{name}: {'everything passed' if not failed else 'failed: ' + ', '.join(failed)}")
    return 2 if not results else int(any(results.values()))


if __name__ == "__main__":
    sys.exit(main())

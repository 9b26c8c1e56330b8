"""A fake llama-server with prepared answers that hardly computes: `python -m bench.upstream CHUNKS [STEP_MS]`.

It never waits, or sends one event of every stream at each step, as an engine does. It has `/completion`, which Dragoman
uses, and `/v1/chat/completions`, which others use. A token is a special token of ChatML, or four characters.
"""

import asyncio
import json
import re
import sys
import time
from contextlib import suppress

_PROPS = {
    "default_generation_settings": {"n_ctx": 2_000_000},
    "total_slots": 64,
    "model_path": "upstream.gguf",
    "chat_template": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    ),
    "bos_token": "",
    "eos_token": "<|im_end|>",
}
_SPECIAL = re.compile(r"(<\|im_start\|>|<\|im_end\|>)")


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


def _stream(events: list[bytes]) -> list[bytes]:
    """The pieces of a streamed reply: its head, its events, its end."""
    return [_HEAD, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


def _completion(chunks: int) -> list[bytes]:
    def event(**fields: object) -> bytes:
        return b"data: " + json.dumps({"index": 0, "id_slot": -1, "tokens_evaluated": 5, **fields}).encode() + b"\n\n"

    progress = {"total": 5, "cache": 0, "processed": 5, "time_ms": 1}
    events = [event(content="", tokens=[0], stop=False, tokens_predicted=0, prompt_progress=progress)]
    events += [event(content=word, tokens=[7], stop=False, tokens_predicted=n) for n, word in enumerate(_words(chunks), 1)]
    events.append(event(content="", tokens=[], stop=True, stop_type="eos", tokens_predicted=chunks, timings={"cache_n": 0}))
    return _stream(events)


def _chat(chunks: int) -> list[bytes]:
    def event(choices: list[object], **fields: object) -> bytes:
        chunk = {"choices": choices, "created": 1, "id": "chatcmpl-1", "model": "upstream", "object": "chat.completion.chunk"}
        return b"data: " + json.dumps({**chunk, **fields}).encode() + b"\n\n"

    def choice(finish_reason: str | None = None, **delta: str | None) -> list[object]:
        return [{"finish_reason": finish_reason, "index": 0, "delta": delta}]

    events = [event(choice(role="assistant", content=None)), *(event(choice(content=word)) for word in _words(chunks))]
    usage = {"prompt_tokens": 5, "completion_tokens": chunks, "total_tokens": chunks + 5}
    return _stream([*events, event(choice("stop")), event([], usage=usage), b"data: [DONE]\n\n"])


def _words(chunks: int) -> list[str]:
    """Words that do not repeat: a repeating output would be stopped."""
    return [f" {number * 40503 % 65536:04x}" for number in range(chunks)]


def _tokenized(body: bytes) -> list[bytes]:
    asked = json.loads(body)
    pieces = _SPECIAL.split(asked["content"]) if asked["parse_special"] else [asked["content"]]
    tokens = b"".join(
        b"%d," % len(piece) if number % 2 else b"7," * ((len(piece) + 3) // 4) for number, piece in enumerate(pieces)
    )
    return _reply(b'{"tokens":[%b]}' % tokens[:-1])


def _json(value: object) -> list[bytes]:
    return _reply(json.dumps(value).encode())


def _reply(body: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    return [head + body]


async def _main(chunks: int, step: float) -> None:
    answers = {
        b"/completion": _completion(chunks),
        b"/v1/chat/completions": _chat(chunks),
        b"/props": _json(_PROPS),
        b"/v1/models": _json({"data": [{"id": "upstream"}]}),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        body = await reader.readexactly(length)
        path = head.split(b" ", 2)[1]
        pieces = _tokenized(body) if path == b"/tokenize" else answers[path]
        with suppress(ConnectionError):  # the client has left
            waits = step and b'"stream":true' in body
            for piece in pieces if waits else [b"".join(pieces)]:
                writer.write(piece)
                await writer.drain()
                if len(pieces) > 1:
                    await asyncio.sleep(step and step - time.monotonic() % step)  # the same moment for all
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0))

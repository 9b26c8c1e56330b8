"""A fake llama-server with prepared answers that never computes and never waits: `python -m bench.upstream CHUNKS`.

It has `/completion`, which Dragoman uses, and `/v1/chat/completions`, which others use.
"""

import asyncio
import json
import sys

_PROPS = {
    "default_generation_settings": {"n_ctx": 100_000},
    "total_slots": 64,
    "model_path": "upstream.gguf",
    "chat_template": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>",
    "bos_token": "",
    "eos_token": "",
}


def _chunked(events: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


def _completion(chunks: int) -> bytes:
    def event(**fields: object) -> bytes:
        return b"data: " + json.dumps({"index": 0, "id_slot": -1, "tokens_evaluated": 5, **fields}).encode() + b"\n\n"

    progress = {"total": 5, "cache": 0, "processed": 5, "time_ms": 1}
    events = [event(content="", tokens=[0], stop=False, tokens_predicted=0, prompt_progress=progress)]
    events += [event(content=word, tokens=[7], stop=False, tokens_predicted=n) for n, word in enumerate(_words(chunks), 1)]
    events.append(event(content="", tokens=[], stop=True, stop_type="eos", tokens_predicted=chunks, timings={"cache_n": 0}))
    return _stream(events)


def _chat(chunks: int) -> bytes:
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


def _stream(events: list[bytes]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return head + _chunked(events)


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        len(body),
        body,
    )


async def _main(chunks: int) -> None:
    answers = {
        b"/completion": _completion(chunks),
        b"/v1/chat/completions": _chat(chunks),
        b"/props": _json(_PROPS),
        b"/v1/models": _json({"data": [{"id": "upstream"}]}),
        b"/tokenize": _json({"tokens": [1, 2, 3, 4, 5]}),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        writer.write(answers[head.split(b" ", 2)[1]])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))

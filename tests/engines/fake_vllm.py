"""A program that takes the arguments of `vllm serve` and streams a word every few milliseconds.

With `DIES` in the model's name it exits with an error message instead.
"""

import asyncio
import json
import sys

from aiohttp import web


async def version(_request: web.Request) -> web.Response:
    return web.json_response({"version": "0.0"})


async def models(_request: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": sys.argv[2], "root": sys.argv[2], "parent": None, "max_model_len": 5000}]})


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if not body["stream"]:
        text = "Q" if "grammar" in body.get("structured_outputs", {}) else "4"
        return web.json_response({"choices": [{"text": text}], "usage": {"completion_tokens": 1}})
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(body["max_tokens"]):
        last = "length" if number + 1 == body["max_tokens"] else None
        chunk = {"choices": [{"text": " word", "finish_reason": last}], "usage": {"completion_tokens": number + 1}}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await asyncio.sleep(0.005)
    await response.write(b"data: [DONE]\n\n")
    return response


def main() -> None:
    if "DIES" in sys.argv[2]:
        sys.exit("(EngineCore pid=7) RuntimeError: no memory for the weights")
    app = web.Application()
    app.router.add_get("/version", version)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/completions", completions)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[sys.argv.index("--port") + 1]), print=None)


main()

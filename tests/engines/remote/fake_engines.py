"""The protocol of each engine, field by field, as fake engines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from engines.remote.fake_engine import (
    DONE,
    MESSAGES,
    EngineFault,
    ReceivedRequest,
    Reply,
    Upstream,
    event,
    is_cut,
    output,
    steps,
)

WINDOW = 2048
ADAPTER = "variant"
DELTAS, TOTALS = False, True


class LlamaUpstream(Upstream):
    """llama-server: progress first, counts so far, a last chunk with the reason; no chunk without a whole character.

    It stops at the strings of `stop`, and holds text back that may begin one. The next request continues the reply there.
    """

    kind = "llama-server"
    endpoint = "/completion"
    says_done = False
    grammar_of_schemas = "%llguidance {}\nstart: %json {}"

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        prompt = body["prompt"] if isinstance(body["prompt"], list) else [1]
        return ReceivedRequest(prompt, max(1, body["n_predict"]), body.get("grammar", ""), body)

    def reset(self) -> None:
        super().reset()
        self._written = 0

    def says(self, *tokens: bytes | str, cached: int = 0, fault: EngineFault | None = None) -> None:
        super().says(*tokens, cached=cached, fault=fault)
        self._written = 0

    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        total = len(received.prompt)
        progress = {"total": total, "cache": reply.cached, "processed": total, "time_ms": 1}
        yield {"index": 0, "content": "", "tokens": [0], "stop": False, "tokens_predicted": 0, "prompt_progress": progress}
        reply, self._written = replace(reply, tokens=reply.tokens[self._written :]), 0
        stops, written, sent = received.body.get("stop", []), "", 0
        for step in steps(received, reply):
            written += step.text
            stopped = next((stop for stop in stops if stop in written), None)
            end = written.index(stopped) if stopped is not None else len(written) - held_back(written, stops)
            if written[sent:end] or stopped is not None:
                ids = [self.id_of(step.token)]
                yield {"content": written[sent:end], "tokens": ids, "stop": False, "tokens_predicted": step.count}
            sent = end
            if stopped is not None:
                self._written = step.count
                yield {**self._last(received, reply, ""), "stop_type": "word", "stopping_word": stopped} | {
                    "tokens_predicted": step.count
                }
                return
        if written[sent:]:
            yield {"content": written[sent:], "tokens": [], "stop": False, "tokens_predicted": len(reply.tokens)}
        yield self._last(received, reply, "")

    def whole(self, received: ReceivedRequest, reply: Reply) -> dict[str, Any]:
        return self._last(received, reply, "".join(step.text for step in steps(received, reply)))

    def _last(self, received: ReceivedRequest, reply: Reply, text: str) -> dict[str, Any]:
        why = "limit" if is_cut(received, reply) else "eos"
        grammar = self.grammar_of_schemas if "json_schema" in received.body else received.constraint
        whole = {"content": text, "stop": True, "stop_type": why, "tokens_predicted": output(received, reply)}
        return {**whole, "generation_settings/grammar": grammar}

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/props":
                names = {"bos_token": self._tokenizer.bos_token, "eos_token": self._tokenizer.eos_token}
                settings = {"default_generation_settings": {"n_ctx": WINDOW}, "total_slots": 4}
                return {**settings, "chat_template": self._tokenizer.chat_template, **names}
            case "/v1/models":
                return {"data": [{"id": "model"}]}
            case "/tokenize":
                return {"tokens": await self._tokenizer.tokenize(body["content"], special=body["parse_special"])}
            case "/detokenize":
                return {"content": await self._tokenizer.detokenize(body["tokens"])}
        return None


def held_back(text: str, stops: Sequence[str]) -> int:
    """The length of the longest end of the text that begins one of these strings."""
    return max((size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0)


class LlamaGbnfUpstream(LlamaUpstream):
    """llama-server built without llguidance: it makes its own grammars of schemas, and ends when it gets one in Lark."""

    grammar_of_schemas = 'root ::= "\\"x\\"" space'


class VllmUpstream(Upstream):
    """vLLM: new text, a reason on a chunk that may be empty, the counts after it, and `[DONE]`."""

    kind = "vllm"
    endpoint = "/v1/completions"
    image_endpoint: ClassVar[str | None] = "/inference/v1/generate"

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        if "token_ids" in body:
            sampling = body["sampling_params"]
            constraint = json.dumps(sampling.get("structured_outputs", ""))
            return ReceivedRequest(body["token_ids"], sampling["max_tokens"], constraint, body)
        return ReceivedRequest(body["prompt"], body.get("max_tokens", 16), json.dumps(body.get("structured_outputs", "")), body)

    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        cut, sent = is_cut(received, reply), steps(received, reply)
        for step in sent:
            reason = "length" if cut and step is sent[-1] else None
            yield self._chunk(received, step.count, [self._choice(step.text, reason, [self.id_of(step.token)])])
        if not cut:
            yield self._chunk(received, output(received, reply), [self._choice("", "stop")])
        yield self._chunk(received, output(received, reply), [], prompt_tokens_details={"cached_tokens": reply.cached})

    def whole(self, received: ReceivedRequest, reply: Reply) -> dict[str, Any]:
        text = "".join(step.text for step in steps(received, reply))
        return self._chunk(
            received, output(received, reply), [self._choice(text, "length")], prompt_tokens_details={"cached_tokens": 0}
        )

    def _chunk(self, received: ReceivedRequest, count: int, choices: list[Any], **details: Any) -> dict[str, Any]:
        prompt = len(received.prompt)
        usage = {"prompt_tokens": prompt, "total_tokens": prompt + count, "completion_tokens": count, **details}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": choices, "usage": usage}

    def _choice(self, text: str, reason: str | None, ids: Sequence[int] = ()) -> dict[str, Any]:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, "stop_reason": None, "token_ids": ids}

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/version":
                return {"version": "0.0.0"}
            case "/v1/models":
                served = {"id": "model", "object": "model", "root": str(self.folder), "parent": None, "max_model_len": WINDOW}
                return {
                    "object": "list",
                    "data": [
                        served,
                        {"id": ADAPTER, "object": "model", "root": "lora", "parent": "model", "max_model_len": None},
                    ],
                }
        return None


class VllmGuidanceUpstream(VllmUpstream):
    """vLLM with llguidance, which reads Lark and no structural tags."""

    kind = "vllm, guidance"

    def _reply_to(self, received: ReceivedRequest) -> Reply:
        return self.reply if "structural_tag" in received.constraint else super()._reply_to(received)


class SGLangUpstream(Upstream):
    """SGLang: counts on every chunk, with all of the text or only new text, status 200 before anything was checked."""

    kind = "sglang"
    endpoint = "/generate"
    in_the_stream: ClassVar[Mapping[EngineFault, int]] = {"refuses": 400, "loads": 503}
    totals: ClassVar[bool] = TOTALS
    info: ClassVar[str] = "/model_info"

    def reset(self) -> None:
        super().reset()
        self.aborted: list[str] = []

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        sampling = body["sampling_params"]
        held = sampling.get("structural_tag", "")
        return ReceivedRequest(body["input_ids"], sampling.get("max_new_tokens", 128), held, body, body.get("rid", ""))

    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        cut, sent, written = is_cut(received, reply), steps(received, reply), ""
        ids: list[int] = []
        for step in sent:
            written, ids = written + step.text, [*(ids if self.totals else ()), self.id_of(step.token)]
            reason = {"type": "length", "length": received.limit} if cut and step is sent[-1] else None
            yield self._chunk(received, reply, written if self.totals else step.text, step.count, reason, ids)
        if not cut:
            reason = {"type": "stop", "matched": 2}
            ids = [*(ids if self.totals else ()), 1]
            yield self._chunk(received, reply, written if self.totals else "", output(received, reply), reason, ids)

    def _chunk(  # noqa: PLR0917 -- the fields of an event
        self, received: ReceivedRequest, reply: Reply, text: str, count: int, reason: Any, ids: Sequence[int] = ()
    ) -> dict[str, Any]:
        counts = {"prompt_tokens": len(received.prompt), "completion_tokens": count, "cached_tokens": reply.cached}
        meta = {"id": received.rid, "finish_reason": reason, "weight_version": "default", "num_retractions": 0, **counts}
        return {"text": text, "output_ids": ids, "meta_info": meta}

    def fault_body(self, fault: EngineFault, status: int) -> dict[str, Any]:
        """A refusal of the tokenizer manager is an error, anything from the scheduler a finish with a status."""
        if fault == "refuses":
            return {"error": {"message": MESSAGES[fault], "type": "invalid_request_error", "code": status, "retryable": False}}
        reason = {"type": "abort", "message": MESSAGES[fault], "status_code": status, "err_type": None}
        return self._chunk(ReceivedRequest([1], 1, "", {}), Reply([]), "", 0, reason)

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case self.info:
                return {"model_path": "org/model", "tokenizer_path": str(self.folder), "is_generation": True}
            case "/v1/models":
                served = {"id": "model", "object": "model", "root": "model", "max_model_len": WINDOW}
                return {
                    "object": "list",
                    "data": [
                        served,
                        {"id": ADAPTER, "object": "model", "root": "lora", "parent": "model", "max_model_len": None},
                    ],
                }
            case "/abort_request":
                self.aborted.append(body["rid"])
                return {}
        return None


class SGLangDeltasUpstream(SGLangUpstream):
    """SGLang started with `--incremental-streaming-output`, and with the older path of the model's information."""

    kind = "sglang, deltas"
    totals = DELTAS
    info = "/get_model_info"


class LMDeployUpstream(Upstream):
    """LMDeploy's chat endpoint: new text and its ids, a reason, counts in a chunk without choices, `[DONE]`; flat errors."""

    kind = "lmdeploy"
    endpoint = "/v1/chat/completions"

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        assert body["messages"] == []
        limit = body.get("max_completion_tokens") or 10_000
        return ReceivedRequest(body["input_ids"], limit, json.dumps(body.get("response_format", "")), body)

    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        cut, sent = is_cut(received, reply), steps(received, reply)
        for step in sent:
            yield self._chunk([self._choice(step.text, [self.id_of(step.token)])], None)
        if not cut:
            yield self._chunk([self._choice("", [])], None)  # for the token that ends the generation
        yield self._chunk([self._choice("", [], finish_reason="length" if cut else "stop")], None)
        if received.body["stream_options"]["include_usage"]:
            prompt, count = len(received.prompt), len(sent)
            usage = {"prompt_tokens": prompt, "total_tokens": prompt + count, "completion_tokens": count}
            yield self._chunk([], {**usage, "prompt_tokens_details": {"cached_tokens": reply.cached}})

    def _choice(self, text: str, ids: list[int], **reason: str) -> dict[str, Any]:
        return {"index": 0, "delta": {"role": "assistant", "content": text}, "output_ids": ids, **reason}

    def _chunk(self, choices: list[Any], usage: Any) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": choices,
            "usage": usage,
        }

    def _reply_to(self, received: ReceivedRequest) -> Reply:
        return Reply([b'"', b'Q"']) if '"Q"' in received.constraint else self.reply

    def fault_body(self, fault: EngineFault, status: int) -> dict[str, Any]:
        flat = {"message": MESSAGES[fault], "type": "server_error", "code": status, "param": None, "object": "error"}
        return {"error": flat} if fault == "fails midway" else flat

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        return {"object": "list", "data": [{"id": str(self.folder)}, {"id": ADAPTER}]} if path == "/v1/models" else None


class LMDeployParsingUpstream(LMDeployUpstream):
    """LMDeploy with a GPT-OSS model: its chat endpoint parses, so that other text is lost; `/generate` does not."""

    kind = "lmdeploy, generate"
    endpoint = "/generate"

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        return ReceivedRequest(body["input_ids"], body.get("max_tokens", 128), "", body)

    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        cut, sent = is_cut(received, reply), steps(received, reply)
        for step in sent:
            yield self._event(received, step.text, [self.id_of(step.token)], step.count, None)
        yield self._event(received, "", [], len(sent), "length" if cut else "stop")

    def _event(self, received: ReceivedRequest, text: str, ids: list[int], count: int, reason: str | None) -> dict[str, Any]:
        counts = {"prompt_tokens": len(received.prompt), "completion_tokens": count}
        meta = {**counts, "finish_reason": reason and {"type": reason}, "output_token_logprobs": None, "routed_experts": None}
        return {"text": text, "output_ids": ids, "meta_info": meta}

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        """At the chat endpoint the parser finds no channel in the output, and leaves only the counts."""
        if path != LMDeployUpstream.endpoint:
            return await super().other(path, body)
        nothing = self._chunk([{"index": 0, "delta": {"role": "assistant"}, "finish_reason": "length"}], None)
        counts = self._chunk([], {"prompt_tokens": 4, "total_tokens": 12, "completion_tokens": 8})
        return b"".join([event(nothing), event(counts), DONE])

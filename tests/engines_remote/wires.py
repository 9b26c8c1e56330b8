"""What each engine says, to the field."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from engines_remote.upstream import DONE, MESSAGES, Asked, EngineFault, Take, Upstream, event, is_cut, output, steps

WINDOW = 2048
ADAPTER = "variant"
DELTAS, TOTALS = False, True


class LlamaUpstream(Upstream):
    """llama-server: progress first, counts so far, a last chunk that says why; no token without a whole character."""

    kind = "llama-server"
    door = "/completion"
    says_done = False

    def read(self, body: dict[str, Any]) -> Asked:
        prompt = body["prompt"] if isinstance(body["prompt"], list) else [1]
        return Asked(prompt, max(1, body["n_predict"]), body.get("grammar", ""), body)

    def chunks(self, asked: Asked, take: Take) -> Iterator[dict[str, Any]]:
        total = len(asked.prompt)
        progress = {"total": total, "cache": take.cached, "processed": total, "time_ms": 1}
        yield {"index": 0, "content": "", "tokens": [0], "stop": False, "tokens_predicted": 0, "prompt_progress": progress}
        for step in steps(asked, take):
            if step.text:
                yield {"content": step.text, "tokens": [7], "stop": False, "tokens_predicted": step.count}
        yield self._last(asked, take, "")

    def whole(self, asked: Asked, take: Take) -> dict[str, Any]:
        return self._last(asked, take, "".join(step.text for step in steps(asked, take)))

    def _last(self, asked: Asked, take: Take, text: str) -> dict[str, Any]:
        why = "limit" if is_cut(asked, take) else "eos"
        return {"content": text, "stop": True, "stop_type": why, "tokens_predicted": output(asked, take)}

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
        return None


class VllmUpstream(Upstream):
    """vLLM: what is new, a reason on a chunk that may be empty, the counts behind it, and `[DONE]`."""

    kind = "vllm"
    door = "/v1/completions"

    def read(self, body: dict[str, Any]) -> Asked:
        return Asked(body["prompt"], body.get("max_tokens", 16), json.dumps(body.get("structured_outputs", "")), body)

    def chunks(self, asked: Asked, take: Take) -> Iterator[dict[str, Any]]:
        cut, said = is_cut(asked, take), steps(asked, take)
        for step in said:
            reason = "length" if cut and step is said[-1] else None
            yield self._chunk(asked, step.count, [self._choice(step.text, reason)])
        if not cut:
            yield self._chunk(asked, output(asked, take), [self._choice("", "stop")])
        yield self._chunk(asked, output(asked, take), [], prompt_tokens_details={"cached_tokens": take.cached})

    def whole(self, asked: Asked, take: Take) -> dict[str, Any]:
        text = "".join(step.text for step in steps(asked, take))
        return self._chunk(
            asked, output(asked, take), [self._choice(text, "length")], prompt_tokens_details={"cached_tokens": 0}
        )

    def _chunk(self, asked: Asked, count: int, choices: list[Any], **details: Any) -> dict[str, Any]:
        prompt = len(asked.prompt)
        usage = {"prompt_tokens": prompt, "total_tokens": prompt + count, "completion_tokens": count, **details}
        return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": choices, "usage": usage}

    def _choice(self, text: str, reason: str | None) -> dict[str, Any]:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, "stop_reason": None}

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
    """The same, with llguidance, which reads Lark and no structural tags."""

    kind = "vllm, guidance"

    def _take(self, asked: Asked) -> Take:
        return self.take if "structural_tag" in asked.held else super()._take(asked)


class SGLangUpstream(Upstream):
    """SGLang: counts on every chunk, all of the text on each or only what is new, 200 before anything was checked."""

    kind = "sglang"
    door = "/generate"
    refuses_in_the_stream = True
    totals: ClassVar[bool] = TOTALS
    info: ClassVar[str] = "/model_info"

    def reset(self) -> None:
        super().reset()
        self.called_off: list[str] = []

    def read(self, body: dict[str, Any]) -> Asked:
        sampling = body["sampling_params"]
        held = sampling.get("structural_tag", "")
        return Asked(body["input_ids"], sampling.get("max_new_tokens", 128), held, body, body.get("rid", ""))

    def chunks(self, asked: Asked, take: Take) -> Iterator[dict[str, Any]]:
        cut, said, written = is_cut(asked, take), steps(asked, take), ""
        for step in said:
            written += step.text
            reason = {"type": "length", "length": asked.limit} if cut and step is said[-1] else None
            yield self._chunk(asked, take, written if self.totals else step.text, step.count, reason)
        if not cut:
            reason = {"type": "stop", "matched": 2}
            yield self._chunk(asked, take, written if self.totals else "", output(asked, take), reason)

    def _chunk(self, asked: Asked, take: Take, text: str, count: int, reason: Any) -> dict[str, Any]:
        counts = {"prompt_tokens": len(asked.prompt), "completion_tokens": count, "cached_tokens": take.cached}
        meta = {"id": asked.rid, "finish_reason": reason, "weight_version": "default", "num_retractions": 0, **counts}
        return {"text": text, "output_ids": [7] * (count if self.totals else 1), "meta_info": meta}

    def fault_body(self, fault: EngineFault, status: int) -> dict[str, Any]:
        return {"error": {"message": MESSAGES[fault]}}

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
                self.called_off.append(body["rid"])
                return {}
        return None


class SGLangNewsUpstream(SGLangUpstream):
    """The same, started with `--incremental-streaming-output`, and with the older name for what it runs."""

    kind = "sglang, news"
    totals = DELTAS
    info = "/get_model_info"


class LMDeployUpstream(Upstream):
    """LMDeploy's chat door: what is new and its ids, a reason, counts in a chunk without choices, `[DONE]`; flat errors."""

    kind = "lmdeploy"
    door = "/v1/chat/completions"

    def read(self, body: dict[str, Any]) -> Asked:
        assert body["messages"] == []
        limit = body.get("max_completion_tokens") or 10_000
        return Asked(body["input_ids"], limit, json.dumps(body.get("response_format", "")), body)

    def chunks(self, asked: Asked, take: Take) -> Iterator[dict[str, Any]]:
        cut, said = is_cut(asked, take), steps(asked, take)
        for step in said:
            reason = {"finish_reason": "length"} if cut and step is said[-1] else {}
            yield self._chunk([self._choice(step.text, [7], **reason)], None)
        if not cut:
            yield self._chunk([self._choice("", [], finish_reason="stop")], None)
        if asked.body["stream_options"]["include_usage"]:
            prompt, count = len(asked.prompt), output(asked, take)
            usage = {"prompt_tokens": prompt, "total_tokens": prompt + count, "completion_tokens": count}
            yield self._chunk([], {**usage, "prompt_tokens_details": {"cached_tokens": take.cached}})

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

    def _take(self, asked: Asked) -> Take:
        return Take([b'"', b'Q"']) if '"Q"' in asked.held else self.take

    def fault_body(self, fault: EngineFault, status: int) -> dict[str, Any]:
        flat = {"message": MESSAGES[fault], "type": "server_error", "code": status, "param": None, "object": "error"}
        return {"error": flat} if fault == "fails midway" else flat

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        return {"object": "list", "data": [{"id": str(self.folder)}, {"id": ADAPTER}]} if path == "/v1/models" else None


class LMDeployHarmonyUpstream(LMDeployUpstream):
    """LMDeploy with a GPT-OSS model: its chat door parses, so that of other text nothing is left; `/generate` does not."""

    kind = "lmdeploy, generate"
    door = "/generate"

    def read(self, body: dict[str, Any]) -> Asked:
        return Asked(body["input_ids"], body.get("max_tokens", 128), "", body)

    def chunks(self, asked: Asked, take: Take) -> Iterator[dict[str, Any]]:
        cut, said = is_cut(asked, take), steps(asked, take)
        for step in said:
            reason = "length" if cut and step is said[-1] else None
            yield self._event(asked, step.text, [7], step.count, reason)
        if not cut:
            yield self._event(asked, "", [], output(asked, take), "stop")

    def _event(self, asked: Asked, text: str, ids: list[int], count: int, reason: str | None) -> dict[str, Any]:
        counts = {"prompt_tokens": len(asked.prompt), "completion_tokens": count}
        meta = {**counts, "finish_reason": reason and {"type": reason}, "output_token_logprobs": None, "routed_experts": None}
        return {"text": text, "output_ids": ids, "meta_info": meta}

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        """At the chat door the parser finds no channel in what the model says, and leaves the counts alone."""
        if path != LMDeployUpstream.door:
            return await super().other(path, body)
        nothing = self._chunk([{"index": 0, "delta": {"role": "assistant"}, "finish_reason": "length"}], None)
        counts = self._chunk([], {"prompt_tokens": 4, "total_tokens": 12, "completion_tokens": 8})
        return b"".join([event(nothing), event(counts), DONE])

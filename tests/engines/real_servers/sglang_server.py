"""The real SGLang server over a scripted scheduler: `python -m engines.real_servers.sglang_server FOLDER PORT [NAME]`.

Its HTTP server, tokenizer manager, image processor, detokenizer process and reading of constraints are SGLang's. Replaced
is the scheduler process, which needs a GPU: it takes SGLang's messages with token ids from one socket and puts batches of
them into another.
"""

# ruff: noqa: E402 -- which packages are absent must be known before the imports

import multiprocessing
import os
import sys
import time
from array import array
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from engines.real_servers.absent import absent

os.environ["SGLANG_USE_CPU_ENGINE"] = "1"
absent("torchvision", "sgl_kernel", "lxml", "json_repair", "IPython")

import zmq
from sglang.srt.constrained.base_grammar_backend import InvalidGrammarObject
from sglang.srt.constrained.xgrammar_backend import XGrammarGrammarBackend
from sglang.srt.entrypoints import http_server
from sglang.srt.managers import io_struct
from sglang.srt.managers.mm_utils import unwrap_shm_features
from sglang.srt.server_args import prepare_server_args
from sglang.srt.utils.hf_transformers_utils import get_tokenizer
from sglang.srt.utils.network import get_zmq_socket

from engines.real_servers.script import CUT, HTTP, Control, Enforcer, Recorder, Script, made_up
from engines.real_servers.sight import color

CONTROL = Control()
CONTEXT_SENT = 5
"""The tokens of the prompt that the detokenizer gets before the first one of the answer, as it does from the real scheduler."""
_LISTS: dict[str, list[Any]] = {
    name: [] for name in io_struct.BatchTokenIDOutput.__struct_fields__ if name.endswith(("_val", "_idx"))
}
"""The fields for log probabilities, all empty."""


@dataclass
class Running:
    """A request, its steps that remain, and what it has generated."""

    request: Any
    script: Script
    steps: Any
    sent: int = 0
    number: int = 0
    holds: bool = False

    @property
    def first_ids(self) -> list[int]:
        """The end of its prompt, before its first chunk."""
        return [] if self.sent else list(self.request.input_ids[-CONTEXT_SENT:])


@dataclass
class Batch:
    """What one step of all requests gives to the detokenizer."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, running: Running, ids: list[int], reason: dict[str, Any] | None) -> None:
        """Add a request's new tokens, or its end."""
        before, sampling = running.first_ids, running.request.sampling_params
        scored = ids if running.request.return_logprob else []
        is_scored = running.sent == 0 and running.request.return_logprob and running.request.logprob_start_len == 0
        prompt = list(running.request.input_ids) if is_scored else []
        running.sent += len(ids)
        self.rows.append(
            {
                "rids": running.request.rid,
                "http_worker_ipcs": running.request.http_worker_ipc,
                "finished_reasons": reason,
                "decoded_texts": "",
                "decode_ids": array("q", [*before, *ids]),
                "read_offsets": len(before),
                "output_ids": array("q", ids),
                "skip_special_tokens": sampling.skip_special_tokens,
                "spaces_between_special_tokens": sampling.spaces_between_special_tokens,
                "no_stop_trim": sampling.no_stop_trim,
                "prompt_tokens": len(running.request.input_ids),
                "reasoning_tokens": 0,
                "completion_tokens": running.sent,
                "cached_tokens": running.script.cached,
                "retraction_counts": 0,
                "output_token_logprobs_val": [made_up(token) for token in scored],
                "output_token_logprobs_idx": list(scored),
                "output_top_logprobs_val": [[made_up(token), -9.0] for token in scored],
                "output_top_logprobs_idx": [[token, 5] for token in scored],
                "input_token_logprobs_val": [None if place == 0 else made_up(token) for place, token in enumerate(prompt)],
                "input_token_logprobs_idx": prompt,
                "input_top_logprobs_val": [None if place == 0 else [made_up(token)] for place, token in enumerate(prompt)],
                "input_top_logprobs_idx": [None if place == 0 else [token] for place, token in enumerate(prompt)],
            }
        )

    def message(self) -> Any:
        """The message to the detokenizer."""
        columns = {name: [row[name] for row in self.rows] for name in self.rows[0]}
        nothing = dict.fromkeys(io_struct.BatchTokenIDOutput.__struct_fields__)
        return io_struct.BatchTokenIDOutput(**{**nothing, **_LISTS, **columns})


class Scheduler:
    """Generates what the script says: in each step, one of its steps for every request."""

    def __init__(self, folder: str, ports: Any) -> None:
        context = zmq.Context(2)
        tokenizer = get_tokenizer(folder)
        self._grammars = XGrammarGrammarBackend(
            tokenizer, vocab_size=len(tokenizer), model_eos_token_ids=[tokenizer.eos_token_id]
        )
        self._enforcer = Enforcer(tokenizer)
        self._requests = get_zmq_socket(context, zmq.PULL, ports.scheduler_input_ipc_name, False)
        self._outputs = get_zmq_socket(context, zmq.PUSH, ports.detokenizer_ipc_name, False)
        self._running: dict[str, Running] = {}

    def run(self) -> None:
        """Serve until the process ends."""
        due = 0.0
        while True:
            waiting = not self._running or all(running.holds for running in self._running.values())
            pause = 5 if waiting else max(0.0, due - time.monotonic()) * 1000
            while self._requests.poll(pause):
                message = io_struct.sock_recv(self._requests)
                unwrap_shm_features(message)  # the pixels of images
                self._take(message)
                pause = 0 if waiting else max(0.0, due - time.monotonic()) * 1000
            due = time.monotonic() + CONTROL.script.pace
            self._step()

    def _take(self, message: Any) -> None:
        """Handle a message of the tokenizer manager."""
        match message:
            case io_struct.TokenizedGenerateReqInput():
                self._begin(message)
            case io_struct.BatchTokenizedGenerateReqInput():
                for request in message.batch:
                    self._begin(request)
            case io_struct.AbortReq(rid=rid):
                if running := self._running.pop(rid, None):
                    CONTROL.records.cancelled += 1
                    CONTROL.records.holding -= running.holds
                    self._send(running, _abort("Aborted", None))

    def _begin(self, request: Any) -> None:
        script, sampling = CONTROL.script, request.sampling_params
        tag = sampling.structural_tag
        prompt, limit = list(request.input_ids), sampling.max_new_tokens
        CONTROL.record(
            prompt=prompt,
            limit=limit,
            constraint=tag and {"structural_tag": tag},
            adapter=request.lora_id,
            rid=request.rid,
            images=[color(item.feature) for item in request.mm_inputs.mm_items] if request.mm_inputs else [],
        )
        running = Running(request, script, iter(()))
        grammar = self._grammars.dispatch_structural_tag(tag) if tag else None
        if script.fault == "loads":
            self._send(running, _abort("the model is loading", HTTPStatus.SERVICE_UNAVAILABLE))
        elif script.fault == "refuses":
            self._send(running, _abort("this is too long", HTTPStatus.BAD_REQUEST))
        elif isinstance(grammar, InvalidGrammarObject):
            self._send(
                running, _abort(f"Failed to compile structural_tag grammar: {grammar.error_message}", HTTPStatus.BAD_REQUEST)
            )
        else:
            running.steps = script.within(limit, self._enforcer.steps(grammar and grammar.ctx, script))
            self._running[request.rid] = running

    def _step(self) -> None:
        """Advance every request that the script does not hold."""
        batch = Batch()
        for rid, running in list(self._running.items()):
            holds = CONTROL.script.held_at == running.number
            CONTROL.records.holding += holds - running.holds
            running.holds = holds
            if holds:
                continue
            if running.script.fault == "fails midway" and running.number == CUT:
                batch.add(running, [], _abort("out of luck", HTTPStatus.INTERNAL_SERVER_ERROR))
                del self._running[rid]
                continue
            ids, is_last = next(running.steps)
            running.number += 1
            ending = is_last and list(ids) == [running.script.ending]
            reason = {"type": "stop", "matched": ids[0]} if ending else {"type": "length", "length": running.sent + len(ids)}
            batch.add(running, list(ids), reason if is_last else None)
            if is_last:
                del self._running[rid]
        if batch.rows:
            io_struct.sock_send(self._outputs, batch.message())

    def _send(self, running: Running, reason: dict[str, Any]) -> None:
        """Send the end of a request that is not in the batch."""
        batch = Batch()
        batch.add(running, [], reason)
        io_struct.sock_send(self._outputs, batch.message())


def _abort(message: str, status: HTTPStatus | None) -> dict[str, Any]:
    return {"type": "abort", "message": message, "status_code": status and int(status), "err_type": None}


def run_scheduler(server_args: Any, port_args: Any, *_ranks: Any) -> None:
    """What the scheduler process runs; the last argument is the pipe on which it reports that it is ready."""
    CONTROL.listen()
    scheduler = Scheduler(server_args.model_path, port_args)
    window = 2048
    _ranks[-1].send(
        {"status": "ready", "max_total_num_tokens": window * 8, "max_req_input_len": window - 1, "startup_time": {}}
    )
    scheduler.run()


def main() -> None:
    """Serve. The processes are forked, so that they need not import everything again."""
    folder, port, *name = sys.argv[1:]
    multiprocessing.set_start_method("fork")
    multiprocessing.set_start_method = lambda *_, **__: None
    http = Control()
    http.listen(HTTP)
    http_server.app.add_middleware(Recorder, control=http)
    plain = ["--device", "cpu", "--skip-server-warmup", "--disable-cuda-graph", "--grammar-backend", "xgrammar"]
    sees = ["--enable-multimodal", "--disable-fast-image-processor"]  # the fast one needs torchvision
    quiet = ["--log-level", "warning"]
    arguments = ["--model-path", folder, "--host", "127.0.0.1", "--port", port, *plain, *sees, *quiet]
    arguments += ["--served-model-name", *name] if name else []
    http_server.launch_server(prepare_server_args(arguments), run_scheduler_process_func=run_scheduler)


if __name__ == "__main__":
    main()

"""The real LMDeploy API server over a scripted engine: `python -m engines.real_servers.lmdeploy_server FOLDER PORT [NAME]`.

Its application, tokenizer, image processor, async engine and parsers are LMDeploy's. Replaced is what `AsyncEngine` builds
below itself, which needs a GPU: an engine with instances, each of which generates for one request at a time.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import uvicorn
from lmdeploy import messages
from lmdeploy._guided_decoding import compile_response_format
from lmdeploy.serve import core
from lmdeploy.serve.openai.api_server import serve

from engines.real_servers.script import CUT, Control, Enforcer, Recorder, made_up
from engines.real_servers.sight import color

CONTROL = Control()
WINDOW, ADAPTER = 2048, "variant"


class Instance:
    """Generates what the script says, for one request at a time."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer

    async def async_stream_infer(
        self,
        session_id: int,
        *,
        input_ids: list[int],
        gen_config: Any,
        adapter_name: str | None = None,
        multimodal: list[dict[str, Any]] | None = None,
        **_more: Any,
    ) -> AsyncGenerator[messages.EngineOutput]:
        """The outputs of a request. The last one has the token that ended it, as the PyTorch engine's."""
        script, constraint = CONTROL.script, gen_config.response_format
        sampling = [gen_config.temperature, gen_config.top_p, gen_config.top_k, gen_config.random_seed]
        CONTROL.record(
            prompt=input_ids,
            limit=gen_config.max_new_tokens,
            constraint=constraint,
            adapter=adapter_name,
            sampling=sampling,
            images=[color(image["pixel_values"]) for image in multimodal or ()],
        )
        compiled = constraint and compile_response_format(self._enforcer.compiler, constraint)
        metrics = messages.RequestMetrics(cached_tokens=script.cached)
        for number, (ids, is_last) in enumerate(
            script.within(gen_config.max_new_tokens, self._enforcer.steps(compiled, script))
        ):
            await self._turn(number)
            if script.fault == "fails midway" and number == CUT:
                yield messages.EngineOutput(messages.ResponseType.INTERNAL_ENGINE_ERROR, [])
                return
            status = messages.ResponseType.FINISH if is_last else messages.ResponseType.SUCCESS
            logprobs = [{token: made_up(token), 5: -9.0} for token in ids] if gen_config.logprobs else None
            yield messages.EngineOutput(status, list(ids), req_metrics=metrics, logprobs=logprobs)

    async def async_cancel(self, session_id: int) -> None:
        """Cancel the running request."""
        CONTROL.records.cancelled += 1

    async def _turn(self, number: int) -> None:
        """Wait for the next step, and while the script holds it."""
        await asyncio.sleep(CONTROL.script.pace)
        if CONTROL.script.held_at != number:
            return
        CONTROL.records.holding += 1
        try:
            while CONTROL.script.held_at == number:  # noqa: ASYNC110 -- another thread changes it
                await asyncio.sleep(0.005)
        finally:
            CONTROL.records.holding -= 1


class ScriptedEngine:
    """What `AsyncEngine` expects of the engine below it."""

    def __init__(self, config: messages.PytorchEngineConfig, tokenizer: Any) -> None:
        self.engine_config = config
        self._enforcer = Enforcer(tokenizer)

    def create_instance(self) -> Instance:
        return Instance(self._enforcer)

    def start_loop(self) -> bool:
        return True

    def close(self) -> None: ...

    def get_schedule_metrics(self) -> messages.ScheduleMetrics:
        return messages.ScheduleMetrics()

    async def get_health_status(self) -> dict[str, Any]:
        return {"alive": True, "message": "", "schedule_metrics": None}


class ScriptedAsyncEngine(core.VLAsyncEngine):  # type: ignore[misc]  # untyped here
    """LMDeploy's engine over the scripted one, asleep or with a small context length where the script says so."""

    def _build_pytorch(self, model_path: str, backend_config: Any = None, **_more: Any) -> ScriptedEngine:
        return ScriptedEngine(backend_config, self.tokenizer.model.model)

    @property
    def is_sleeping(self) -> bool:
        return CONTROL.script.fault == "loads"

    @is_sleeping.setter
    def is_sleeping(self, _: bool) -> None: ...

    @property
    def session_len(self) -> int:
        return 1 if CONTROL.script.fault == "refuses" else WINDOW

    @session_len.setter
    def session_len(self, _: int) -> None: ...


def main() -> None:
    """Serve."""
    folder, port, *name = sys.argv[1:]
    core.VLAsyncEngine = ScriptedAsyncEngine
    run = uvicorn.run
    uvicorn.run = lambda app, **options: run(Recorder(app, CONTROL), **options)
    CONTROL.listen()
    serve(
        folder,
        model_name=name[0] if name else None,
        backend="pytorch",
        backend_config=messages.PytorchEngineConfig(
            max_batch_size=128, session_len=WINDOW, adapters={ADAPTER: "lora"}, logprobs_mode="raw_logprobs"
        ),
        server_name="127.0.0.1",
        server_port=int(port),
        log_level="ERROR",
    )


main()

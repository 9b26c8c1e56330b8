"""A conversation whose server is killed after it was saved."""

import sys
from pathlib import Path

import pytest

from dragoman.engines.llama.cache_folder import stored_files
from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.supervised import spawn
from engines.conftest import first_progress, long_prompt, make_request, until
from vision_model import vision_model

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

PROMPT = long_prompt(600, seed=1)
SERVER = """
import asyncio, json, sys
from pathlib import Path
from dragoman.conversation import Sampling
from dragoman.engines import EngineRequest
from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama

async def main():
    engine = EmbeddedLlama(Path(sys.argv[1]), parallel=1, disk=DiskSettings(Path(sys.argv[2]), 1 << 30, 0.0))
    await engine.start()
    request = EngineRequest(json.loads(sys.argv[3]), 4, Sampling(temperature=0))
    async for _ in engine.generate(request):
        pass
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_what_was_saved_when_idle_survives_a_kill_of_the_server(tmp_path: Path) -> None:
    model = vision_model()
    server = await spawn(sys.executable, "-c", SERVER, str(model), str(tmp_path), str(PROMPT))
    try:

        async def saved() -> bool:
            return any(stored_files(tmp_path))

        await until(saved, seconds=120)
    finally:
        server.kill()
        await server.communicate()
    engine = EmbeddedLlama(model, parallel=1, disk=DiskSettings(tmp_path, 1 << 30))
    await engine.start()
    try:
        assert await first_progress(engine, make_request([*PROMPT, *long_prompt(20, seed=2)], 1)) >= 0.95 * len(PROMPT)
    finally:
        await engine.close()

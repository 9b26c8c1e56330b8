"""The dialect at load: what was chosen, or what the engine's template shows."""

from typing import Any

import pytest
from msgspec.structs import replace

from dragoman import dialects
from dragoman.engines import Capabilities
from dragoman.engines.scripted import ScriptedEngine
from dragoman.server import ServedModel, Settings
from prompt.templates import CHATML

HERMES = dialects.get("hermes").reference_template


class Templated(ScriptedEngine):
    """An engine whose model came with a chat template; `control` are its special tokens."""

    def __init__(self, chat_template: str | None, control: frozenset[str] = frozenset()) -> None:
        super().__init__([])
        self._chat_template = chat_template
        self._control = control

    async def start(self) -> Capabilities:
        return replace(await super().start(), chat_template=self._chat_template)

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        for spelled in self._control if special else ():
            text = text.replace(spelled, f" {spelled[1:-1]} ")
        return await super().tokenize(text)


@pytest.mark.parametrize(
    ("engine", "settings", "dialect", "found"),
    [
        (Templated(HERMES), {}, "hermes", "decoded back"),
        (Templated(HERMES), {"dialect": dialects.get("gpt-oss")}, "gpt-oss", "chosen"),
        (Templated(CHATML), {}, "qwen3", "generic: the template prints no calls"),
        (Templated(CHATML, frozenset({"<|tools_prefix|>"})), {}, "apertus", "hint: <|tools_prefix|>"),
        (Templated(None), {}, "qwen3", "generic: there is no chat template"),
        (Templated(None), {"dialect": dialects.get("hermes")}, "hermes", "chosen"),
    ],
    ids=["by its calls", "chosen", "nothing to go by", "by a special token", "no template", "chosen, no template"],
)
async def test_the_dialect_is_the_chosen_one_or_the_one_that_is_found(
    engine: Templated, settings: dict[str, Any], dialect: str, found: str
):
    service = await ServedModel.load(engine, Settings(**settings))
    assert (service.detection.dialect.name, service.detection.found) == (dialect, found)

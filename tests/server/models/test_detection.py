"""The dialect of a served model: the chosen one, or the one detected from the engine's template."""

from typing import Any

import pytest
from msgspec.structs import replace

from dragoman import dialects
from dragoman.engines import Capabilities
from dragoman.engines.scripted import ScriptedEngine
from dragoman.server import ModelEntry, ServedModel, Settings
from prompt.templates import CHATML

HERMES = dialects.get("hermes").reference_template


class EngineWithTemplate(ScriptedEngine):
    """An engine whose model has a chat template; `control` are its special tokens."""

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
        (EngineWithTemplate(HERMES), {}, "hermes", "decoded back"),
        (EngineWithTemplate(HERMES), {"dialect": dialects.get("gpt-oss")}, "gpt-oss", "chosen"),
        (EngineWithTemplate(CHATML), {}, "qwen3", "generic: the template prints no calls"),
        (EngineWithTemplate(CHATML, frozenset({"<|tools_prefix|>"})), {}, "apertus", "hint: <|tools_prefix|>"),
        (EngineWithTemplate(None), {}, "qwen3", "generic: there is no chat template"),
        (EngineWithTemplate(None), {"dialect": dialects.get("hermes")}, "hermes", "chosen"),
    ],
    ids=["by its calls", "chosen", "nothing to go by", "by a special token", "no template", "chosen, no template"],
)
async def test_the_dialect_is_the_chosen_or_the_detected_one(
    engine: EngineWithTemplate, settings: dict[str, Any], dialect: str, found: str
) -> None:
    service = await ServedModel.load(ModelEntry.of(engine, **settings), Settings())
    assert (service.detection.dialect.name, service.detection.found) == (dialect, found)

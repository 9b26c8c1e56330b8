"""Prompts are append-only for clients of the Responses API: the items of an answer, sent back, are what the model wrote."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from dragoman import dialects
from dragoman.api.base import parse
from dragoman.api.openai.responses.echo import reply_of
from dragoman.api.openai.responses.encoder import ResponseEncoder, fold
from dragoman.api.openai.responses.lowering import lower
from dragoman.api.openai.responses.request import ResponsesRequest
from dragoman.api.openai.responses.rules import check
from dragoman.conversation.types import ToolCall
from dragoman.dialects import Dialect
from dragoman.generation.output_policies import OutputPolicies
from dragoman.inspection.profile import inspect
from dragoman.parts import Ending, StopReason, TokenCounts
from dragoman.prompt import ChatTemplate
from dragoman.prompt.render import Renderer

from . import templates

Item = dict[str, Any]
QWEN3, HERMES = dialects.get("qwen3"), dialects.get("hermes")
_READ = {"path": {"type": "string"}, "at": {"type": "integer"}}
TOOLS = [
    {"type": "function", "name": "read", "parameters": {"type": "object", "properties": _READ}},
    {"type": "custom", "name": "patch", "description": "Applies a patch."},
    {"type": "namespace", "name": "clock", "tools": [{"type": "function", "name": "now"}]},
]


def whole(item: Item) -> Item:
    """The item as the server sent it."""
    return item


def as_codex(item: Item) -> Item:
    """The item as Codex sends it back: no reasoning text, no status."""
    return {name: value for name, value in item.items() if name not in ("content", "status") or item["type"] == "message"}


@dataclass
class Client:
    """A client that keeps the items of the conversation itself."""

    renderer: Renderer
    dialect: Dialect
    keep: Callable[[Item], Item]
    options: dict[str, Any]
    items: list[Item] = field(default_factory=lambda: [{"role": "user", "content": "Fix a.txt."}])
    prompts: list[str] = field(default_factory=list)

    def answer(self, thought: str, words: str, *calls: tuple[str, dict[str, Any]]) -> None:
        """Add what a model writes, and an output for each call."""
        body = {"model": "m", "input": self.items, "tools": TOOLS, "instructions": "You help.", **self.options}
        request = parse(ResponsesRequest, json.dumps(body).encode())
        check(request)
        conversation = lower(request)
        prompt = self.renderer.render(conversation).text
        thinks = thought and self.dialect.reasoning
        turn = self.dialect.encode_turn(words, [ToolCall("", name, given) for name, given in calls])
        written = (self.dialect.encode_thinking(thought, words) if thinks else "") + turn
        parser, policies = (
            self.dialect.parser(conversation.policy.schemas, thinking_open=False),
            OutputPolicies(conversation.policy),
        )
        parts = [*policies.apply(parser.feed(written)), *policies.apply(parser.finish(cut=False)), *policies.flush()]
        encoder = ResponseEncoder(reply_of(request), lambda: 5)
        ending = Ending(StopReason.END_TURN, TokenCounts(1))
        response = fold(event for part in [*parts, ending] for event in encoder.encode(part))
        self.prompts.append(prompt + written)
        self._add(msgspec.to_builtins(response.output))

    def _add(self, output: Sequence[Item]) -> None:
        self.items += map(self.keep, output)
        calls = [item for item in output if "call_id" in item]
        self.items += [{"type": f"{item['type']}_output", "call_id": item["call_id"], "output": "done"} for item in calls]


@pytest.mark.clause("CACHE-4", "THK-10", "REQ-12", "RSP-8")
@pytest.mark.parametrize("keep", [whole, as_codex])
@pytest.mark.parametrize("summary", [None, "auto"])
@pytest.mark.parametrize(
    ("source", "dialect", "thought"),
    [
        (templates.CHATML, HERMES, ""),
        (templates.CHATML, QWEN3, 'Hm.\n\nA "file".'),
        (HERMES.reference_template or "", HERMES, ""),
        (QWEN3.reference_template or "", QWEN3, "Hm."),
    ],
    ids=["default model", "default model with reasoning", "hermes", "qwen3"],
)
def test_each_prompt_begins_with_the_previous_one_and_its_output(
    source: str, dialect: Dialect, thought: str, summary: str | None, keep: Callable[[Item], Item]
) -> None:
    options = {"reasoning": {"summary": summary, "effort": "high" if thought else "none"}}
    client = Client(Renderer(inspect(ChatTemplate(source), dialect)), dialect, keep, options)
    client.answer(thought, "I look.", ("read", {"path": 'a "b" ü 🦊\n', "at": 1}), ("clock__now", {}))
    client.answer(thought, "", ("patch", {"input": '-a "b"\n+c\\d ü 🦊\n'}))
    client.answer(thought, "Again.", ("patch", {"input": ""}))
    client.answer(thought, "Done.")
    assert [following.startswith(before) for before, following in pairwise(client.prompts)] == [True] * 3


@pytest.mark.clause("RSP-8")
def test_reasoning_that_was_changed_is_read_from_what_else_there_is() -> None:
    client = Client(Renderer(inspect(ChatTemplate(templates.CHATML), QWEN3)), QWEN3, whole, {})
    client.answer("Hm.", "I look.", ("read", {"path": "a"}))
    client.items[1]["encrypted_content"] = client.items[1]["encrypted_content"][:-2] + "AA"
    client.answer("Hm.", "Done.")
    assert client.prompts[1].startswith(client.prompts[0])

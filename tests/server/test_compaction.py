"""Compaction on a live server: the model's own summary takes the place of the conversation, with the SDK's types."""

from typing import Any

import anthropic
import pytest
from anthropic.types.beta import BetaMessage

from conftest import MODEL, body, live_server, user
from controllable_engine import ControllableEngine
from dragoman.engines.scripted import Line, ScriptedEngine
from server.http import post

ASKED = "Write a summary of this conversation."
SUMMARY = "They count sheep, 17 so far."
TALK = [user("Let us count sheep. " + "baa " * 100), {"role": "assistant", "content": "One."}, user("How many now?")]


class Engine(ControllableEngine):
    """Writes a summary where the prompt asks for one, and goes on otherwise."""

    summary = SUMMARY

    def says_for(self, tokens: Any) -> Line:
        tail = "".join(self.words[token] for token in tokens[-80:])
        return Line(self.summary if ASKED in tail or "Sum up." in tail else "Seventeen.")

    async def generate(self, request: Any) -> Any:
        self.line = self.says_for(request.tokens)
        async for chunk in super().generate(request):
            yield chunk


@pytest.fixture(scope="module")
def serving() -> Any:
    engine = Engine()
    with live_server(engine, id=MODEL) as engine.url:
        yield engine


@pytest.fixture
def counting(serving: Engine) -> Engine:
    serving.requests.clear()
    serving.summary = SUMMARY
    return serving


def compact(tokens: int | None = 50, **fields: Any) -> dict[str, Any]:
    trigger = {} if tokens is None else {"trigger": {"type": "input_tokens", "value": tokens}}
    return {"edits": [{"type": "compact_20260112", **trigger, **fields}]}


def prompt(engine: Engine, index: int) -> str:
    return "".join(engine.words[token] for token in engine.prompts[index])


def answered(url: str, request: dict[str, Any]) -> BetaMessage:
    """The answer by the SDK's types, which accumulate from the stream what comes in one piece."""
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        whole = client.beta.messages.create(**request, betas=["compact-2026-01-12"])
        with client.beta.messages.stream(**request, betas=["compact-2026-01-12"]) as stream:
            streamed = stream.get_final_message()
    assert streamed.model_dump(exclude={"id", "parsed_output"})["content"] == whole.model_dump()["content"]
    assert (streamed.stop_reason, streamed.usage.iterations) == (whole.stop_reason, whole.usage.iterations)
    return whole


@pytest.mark.clause("BETA-5", "RES-8", "SSE-20", "SSE-21", "USE-1")
@pytest.mark.parametrize("words", ["baa " * 100, "baa " * 50_000], ids=["read at once", "read by a worker"])
def test_the_model_summarizes_and_goes_on(counting: Engine, words: str) -> None:
    talk = [user(f"Let us count sheep. {words}"), *TALK[1:]]
    message = answered(counting.url, body(*talk, system="Be kind.", context_management=compact()))
    compaction, text = message.content
    assert compaction.type == "compaction"
    assert text.type == "text"
    assert compaction.content == f"{SUMMARY}\n\nThe newest message of the user, word for word:\n\nHow many now?"
    assert (text.text, message.stop_reason) == ("Seventeen.", "end_turn")
    asked, then = prompt(counting, 0), prompt(counting, 1)
    assert "baa baa" in asked
    assert ASKED in asked
    assert "baa" not in then
    assert SUMMARY in then
    assert "Be kind." in then
    assert message.context_management is not None
    assert message.context_management.applied_edits == []
    iterations = message.usage.iterations or []
    assert [(each.type, each.input_tokens) for each in iterations] == [
        ("compaction", len(counting.prompts[0])),
        ("message", len(counting.prompts[1])),
    ]
    assert message.usage.input_tokens == len(counting.prompts[1])


@pytest.mark.clause("BETA-5", "CACHE-4", "CNT-2")
def test_the_next_prompt_begins_with_the_one_after_the_summary(counting: Engine) -> None:
    message = answered(counting.url, body(*TALK, context_management=compact()))
    said = [block.model_dump(exclude_none=True) for block in message.content]
    counting.requests.clear()
    later = body(*TALK, {"role": "assistant", "content": said}, user("And then?"), context_management=compact(5000))
    post(counting.url, later)
    assert "baa" not in prompt(counting, 0)
    assert SUMMARY in prompt(counting, 0)
    assert prompt(counting, 0).index("Seventeen.") < prompt(counting, 0).index("And then?")
    assert post(counting.url, later, "/v1/messages/count_tokens").json["input_tokens"] == len(counting.prompts[0])


@pytest.mark.clause("BETA-5", "STOP-1")
@pytest.mark.parametrize("thinking", [None, {"type": "enabled", "budget_tokens": 1024}], ids=["", "thinking"])
def test_an_answer_can_pause_after_the_summary(counting: Engine, thinking: dict[str, Any] | None) -> None:
    more = {"thinking": thinking, "max_tokens": 2000} if thinking else {}
    request = body(*TALK, context_management=compact(pause_after_compaction=True), **more)
    message = answered(counting.url, request)
    assert [block.type for block in message.content] == ["compaction"]
    assert message.stop_reason == "compaction"
    assert [each.type for each in message.usage.iterations or []] == ["compaction"]
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}
    counting.requests.clear()
    resumed = post(counting.url, body(*TALK, said, context_management=compact(), **more)).json
    assert resumed["stop_reason"] == "end_turn"
    assert "baa" not in prompt(counting, 0)
    post(counting.url, body(said, user("And now?"), **more))
    assert prompt(counting, 1).startswith(prompt(counting, 0)[:150])


@pytest.mark.clause("BETA-5")
def test_instructions_take_the_place_of_the_request_for_a_summary(counting: Engine) -> None:
    answered(counting.url, body(*TALK, context_management=compact(instructions="Sum up.")))
    assert "Sum up." in prompt(counting, 0)
    assert ASKED not in prompt(counting, 0)


@pytest.mark.clause("BETA-5")
def test_a_conversation_below_the_trigger_or_with_a_prefill_is_not_compacted(counting: Engine) -> None:
    for request in (
        body(*TALK, context_management=compact(100_000)),
        body(*TALK, context_management=compact(None)),
        body(*TALK, {"role": "assistant", "content": "It is"}, context_management=compact()),
    ):
        assert [block["type"] for block in post(counting.url, request).json["content"]] == ["text"]


@pytest.mark.clause("BETA-5")
def test_without_a_summary_the_conversation_stays_as_it_is(counting: Engine) -> None:
    counting.summary = " "
    compaction, text = answered(counting.url, body(*TALK, context_management=compact())).content
    assert compaction.model_dump(exclude_none=True) == {"type": "compaction"}
    assert text.type == "text"
    assert "baa" in prompt(counting, 1)
    said = {"role": "assistant", "content": [{"type": "compaction", "content": None}, {"type": "text", "text": "Well."}]}
    post(counting.url, body(*TALK, said, user("And?")))
    assert "baa" in prompt(counting, -1)


@pytest.mark.clause("BETA-5", "IN-14")
def test_tools_that_were_added_before_the_summary_stay_known(counting: Engine) -> None:
    beta = "mid-conversation-tool-changes-2026-07-01"
    tools = [
        {"name": "read", "input_schema": {"type": "object"}},
        {"name": "find", "description": "Finds sheep.", "defer_loading": True, "input_schema": {"type": "object"}},
    ]
    added = {"role": "system", "content": [{"type": "tool_addition", "tool": {"type": "tool_reference", "name": "find"}}]}
    request = body(TALK[0], added, *TALK[1:], tools=tools, context_management=compact())
    message = post(counting.url, request, anthropic_beta=beta).json
    assert "Finds sheep." in prompt(counting, 1)
    assert "baa" not in prompt(counting, 1)
    said = {"role": "assistant", "content": message["content"]}
    post(counting.url, body(TALK[0], added, *TALK[1:], said, user("And?"), tools=tools), anthropic_beta=beta)
    assert prompt(counting, 2).startswith(prompt(counting, 1)[:-60])


def test_a_small_window_is_compacted_before_it_is_full() -> None:
    engine = ScriptedEngine([Line(SUMMARY, when=ASKED), Line("Seventeen.")], window=400)
    talk = [user("baa " * 330), {"role": "assistant", "content": "One."}, user("And?")]
    with live_server(engine, id=MODEL) as url:
        message = post(url, body(*talk, context_management=compact(None), max_tokens=20)).json
    assert [block["type"] for block in message["content"]] == ["compaction", "text"]


SUMMARIZE: dict[str, Any] = {"type": "summarize"}


def as_sent_back(message: BetaMessage) -> dict[str, Any]:
    return {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}


@pytest.mark.clause("BETA-5", "STOP-1", "SSE-21", "CNT-4")
@pytest.mark.parametrize("last", [TALK, TALK[:2]], ids=["a question", "an answer"])
def test_a_conversation_is_summarized_on_demand_and_goes_on_from_the_summary_alone(
    counting: Engine, last: list[dict[str, Any]]
) -> None:
    message = answered(counting.url, body(*last, system="Be kind.", compaction=SUMMARIZE))
    (compaction,) = message.content
    assert compaction.type == "compaction"
    assert compaction.content is not None
    assert compaction.content.startswith(SUMMARY)
    assert compaction.signature
    assert compaction.tool_changes == []
    assert (message.stop_reason, [each.type for each in message.usage.iterations or []]) == ("compaction", ["compaction"])
    counting.requests.clear()
    for more in ((), (user("And now?"),)):
        assert post(counting.url, body(as_sent_back(message), *more, system="Be kind.")).json["stop_reason"] == "end_turn"
    assert "One." not in prompt(counting, 1)
    assert SUMMARY in prompt(counting, 1)
    request = body(*last)
    sent = (request, request | {"compaction": SUMMARIZE})
    plain, asked = (post(counting.url, each, "/v1/messages/count_tokens").json for each in sent)
    assert plain == asked


@pytest.mark.clause("BETA-5", "IN-14")
def test_a_summary_on_demand_keeps_the_tools_that_messages_added_and_removed(counting: Engine) -> None:
    """The messages with the changes are left out after it, so that its block has them."""
    schema = {"type": "object", "properties": {}}
    new = {"name": "shear", "description": "Shears sheep.", "input_schema": schema}
    tools = [
        {"name": "read", "input_schema": schema},
        {"name": "write", "input_schema": schema},
        {"name": "find", "description": "Finds sheep.", "defer_loading": True, "input_schema": schema},
    ]
    added = [
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "find"}},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": new}},
    ]
    removed = [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "write"}}]
    taken_back = [
        {"type": kind, "tool": {"type": "tool_reference", "name": "read"}} for kind in ("tool_removal", "tool_addition")
    ]
    changes = {"role": "system", "content": [*added, *removed, *taken_back]}
    message = answered(counting.url, body(TALK[0], changes, *TALK[1:], tools=tools, compaction=SUMMARIZE))
    said = as_sent_back(message)
    assert said["content"][0]["tool_changes"] == [*added, *removed]

    def may_call(name: str) -> bool:
        request = body(said, user("And?"), tools=tools, tool_choice={"type": "tool", "name": name})
        return post(counting.url, request, "/v1/messages/count_tokens").status == 200

    assert {name: may_call(name) for name in ("read", "find", "shear", "write")} == {
        "read": True,
        "find": True,
        "shear": True,
        "write": False,
    }
    post(counting.url, body(said, user("And?"), tools=tools))
    assert "Finds sheep." in prompt(counting, -1)
    assert "Shears sheep." in prompt(counting, -1)
    again = answered(counting.url, body(said, user("And?"), tools=tools, compaction=SUMMARIZE))
    assert as_sent_back(again)["content"][0]["tool_changes"] == [*added, *removed]


@pytest.mark.clause("BETA-5")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"context_management": compact()}, "cannot be combined with context_management"),
        ({"stop_sequences": ["x"]}, "cannot be combined with stop_sequences"),
        ({"compaction": {"type": "forget"}}, "compaction.type: Input should be 'summarize'"),
        ({"messages": [{"role": "assistant", "content": [{"type": "compaction", "content": "x"}]}]}, "consists of its summary"),
        (
            {"messages": [*TALK, {"role": "assistant", "content": [{"type": "compaction", "content": None}]}]},
            "the last answer is not finished",
        ),
    ],
)
def test_what_cannot_be_summarized_on_demand_is_refused(counting: Engine, fields: dict[str, Any], reason: str) -> None:
    refused = post(counting.url, body(*TALK, **({"compaction": SUMMARIZE} | fields)))
    assert refused.status == 400
    assert reason in refused.error[1]


@pytest.mark.clause("BETA-5")
def test_the_tool_runner_of_the_sdk_compacts_before_its_next_turn(counting: Engine) -> None:
    @anthropic.beta_tool
    def read() -> str:
        """Read."""
        return "x"

    messages: Any = [user("Let us count sheep. " + "baa " * 100)]
    with anthropic.Anthropic(base_url=counting.url, api_key="any", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model=MODEL, max_tokens=99, messages=messages, tools=[read], betas=["compact-2026-09-04"]
        )
        endings: list[str | None] = []
        for message in runner:
            if not endings:
                runner.compact_before_next_turn()
            endings.append(message.stop_reason)
    assert endings == ["end_turn", "compaction"]

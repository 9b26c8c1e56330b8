"""Claude Code at work, on a model that says what the script tells it to."""

import base64
import json
import signal
from pathlib import Path

import pytest

from dragoman import dialects
from dragoman.engines.scripted import Line

from .scene import SILENCE_S, STANDS, Play, Silence, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs it


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
"""One dot."""


@pytest.mark.clause("CC-1", "CC-2")
def test_it_answers(play: Play) -> None:
    scene = play("The capital is Ulm.")
    assert scene.claude.run("Name a capital.").answer == "The capital is Ulm."
    assert scene.heard.refused == []
    [only] = scene.heard.messages
    assert (only.body["stream"], only.body["thinking"]["type"]) == (True, "adaptive")


@pytest.mark.clause("CACHE-4", "CC-4")
def test_it_writes_reads_edits_and_runs(play: Play, tmp_path: Path) -> None:
    file = {"file_path": str(tmp_path / "project" / "hello.sh")}
    scene = play(
        "I write it.\n" + call(("Write", {**file, "content": "echo hello\n"})),
        call(("Read", file)),
        call(("Edit", {**file, "old_string": "hello", "new_string": "'guten Tag, \"Ulm\"'"})),
        call(("Bash", {"command": "sh hello.sh", "description": "Run it"})),
        "It greets.",
    )
    assert scene.claude.run("Make a greeting.").answer == "It greets."
    assert scene.heard.refused == []
    assert (scene.project / "hello.sh").read_text() == "echo 'guten Tag, \"Ulm\"'\n"
    results = scene.said("tool_result")
    assert [bool(result.get("is_error")) for result in results] == [False] * 4, results
    assert results[-1]["content"] == 'guten Tag, "Ulm"'
    assert min(scene.model.reused()) > STANDS


def test_two_calls_in_one_turn_are_both_answered(play: Play) -> None:
    scene = play(
        call(
            ("Bash", {"command": "echo first", "description": "One"}),
            ("Bash", {"command": "echo second", "description": "Two"}),
        ),
        "Both ran.",
    )
    assert scene.claude.run("Run two.").answer == "Both ran."
    assert scene.heard.refused == []
    results = {result["tool_use_id"]: result["content"] for result in scene.said("tool_result")}  # in any order
    assert [results[block["id"]] for block in scene.said("tool_use")] == ["first", "second"]


def test_thinking_before_a_call_comes_back_as_it_was(play: Play) -> None:
    thought = "I had better look first.\nThen speak."
    qwen = dialects.get("qwen3")
    listing = call(("Bash", {"command": "ls -a", "description": "Look"}), dialect=qwen)
    scene = play(f"<think>\n{thought}\n</think>\n\nLet me look.\n{listing}", "Nothing there.", dialect=qwen)
    assert scene.claude.run("What is there?").answer == "Nothing there."
    assert scene.heard.refused == []
    [thinking] = scene.said("thinking")
    assert thinking["thinking"] == thought
    assert thinking["signature"]
    assert min(scene.model.reused()) > STANDS


MARKERS = (
    "</tool_call>",
    "</parameter>",
    "</function>",
    "<|im_end|>",
    "<|im_start|>user",
    "</think>",
    "<tool_call>",
    '{"name": "Bash"}',
)


@pytest.mark.parametrize("family", ["qwen3", "qwen3-coder"])
def test_a_file_full_of_the_dialects_own_markers_arrives_byte_for_byte(play: Play, tmp_path: Path, family: str) -> None:
    dialect = dialects.get(family)
    text = "".join(f"{number}: {marker}\n" for number in range(180) for marker in MARKERS)
    assert len(text) > 20_000
    file = {"file_path": str(tmp_path / "project" / "markers.txt")}
    scene = play(
        call(("Write", {**file, "content": text}), dialect=dialect),
        call(("Read", file), dialect=dialect),
        "There it is.",
        dialect=dialect,
    )
    assert scene.claude.run("Write the markers.").answer == "There it is."
    assert scene.heard.refused == []
    assert (scene.project / "markers.txt").read_text() == text
    assert scene.said("tool_use")[0]["input"] == {**file, "content": text}
    assert "179: </tool_call>" in scene.said("tool_result")[1]["content"]


@pytest.mark.clause("CC-5", "SSE-6")
def test_it_waits_through_a_long_silence(play: Play) -> None:
    scene = play(Line("At last.", chunk=0, delay_ms=12_000))  # the first ping comes after ten seconds
    assert scene.claude.run("Take your time.").answer == "At last."
    assert [exchange.status for exchange in scene.heard.exchanges] == [200]


@pytest.mark.clause("CC-5", "SSE-6")
def test_minutes_of_silence_neither_end_a_turn_nor_repeat_it(silence: Silence) -> None:
    told = silence.end()
    assert told.answer == "At last."
    assert told.result["duration_ms"] > SILENCE_S * 1000
    assert [exchange.status for exchange in silence.scene.heard.exchanges] == [200]
    assert len(silence.scene.model.prompts) == 1


def test_sub_agents_work_side_by_side(play: Play) -> None:
    jobs = [
        ("Agent", {"description": f"Find {name}", "prompt": f"Find {name}.", "run_in_background": False}) for name in ("A", "B")
    ]
    found = "The agent has found it."
    scene = play(call(*jobs), found, found, Line("Both have found it.", when="has found it"))
    assert scene.claude.run("Find A and B.").answer == "Both have found it."
    assert scene.heard.refused == []
    agents = [exchange.headers.get("x-claude-code-agent-id") for exchange in scene.heard.messages]
    assert (agents[0], agents[-1], len(set(agents))) == (None, None, 3)


@pytest.mark.clause("IN-4")
def test_a_picture_that_the_model_cannot_see_is_a_note_to_it(play: Play) -> None:
    scene = play(call(("Read", {"file_path": "dot.png"})), "A dot.")
    (scene.project / "dot.png").write_bytes(PNG)
    assert scene.claude.run("What is it?").answer == "A dot."
    assert scene.heard.refused == []
    assert len(scene.heard.messages) == 2
    [shown] = scene.said("tool_result")
    assert shown["content"][0]["type"] == "image"
    assert min(scene.model.reused()) > STANDS


@pytest.mark.clause("IN-4", "CC-8")
def test_a_picture_that_is_refused_costs_one_request(play: Play) -> None:
    scene = play(call(("Read", {"file_path": "dot.png"})), "A dot.", strict_input=True)
    (scene.project / "dot.png").write_bytes(PNG)
    assert scene.claude.run("What is it?").answer == "A dot."
    [refusal] = scene.heard.refused
    assert "capability_rejected: image_block" in refusal


def test_a_tool_is_searched_for_and_used(play: Play) -> None:
    scene = play(call(("ToolSearch", {"query": "select:CronList"})), call(("CronList", {})), "No jobs.")
    assert scene.claude.run("Which jobs?").answer == "No jobs."
    assert scene.heard.refused == []
    assert [len(exchange.body["tools"]) for exchange in scene.heard.messages] == [12, 13, 13]
    assert min(scene.model.reused()) > STANDS


@pytest.mark.clause("ERR-11")
def test_an_overlong_first_prompt_is_reported_in_numbers(play: Play) -> None:
    scene = play("Never said.", window=3000)
    told = scene.claude.run("Name a capital.")
    assert (told.result["is_error"], told.result["api_error_status"]) == (True, 400)
    [refusal] = scene.heard.refused
    assert "prompt is too long" in refusal


@pytest.mark.clause("CC-8", "ERR-11")
def test_an_overlong_conversation_is_compacted_and_goes_on(play: Play) -> None:
    count = call(("Bash", {"command": "seq 1500", "description": "Count"}))
    summary = Line("<summary>We counted.</summary>", when="an <analysis> block followed by a <summary> block.")
    # Four results of 1,500 words do not fit behind the client's own 7,200; three and the request for a summary do.
    scene = play(summary, count, count, count, count, "We have counted enough.", window=12_900)
    assert scene.claude.run("Count.").answer == "We have counted enough."
    assert [exchange.status for exchange in scene.heard.messages] == [200] * 4 + [400] + [200] * 2
    assert "We counted." in scene.turns()[0]["content"]


@pytest.mark.clause("TRN-18")
def test_an_interrupted_turn_is_resumed(play: Play) -> None:
    scene = play(Line("One " * 400, delay_ms=200), "We were interrupted.")
    with scene.claude.start("Count.", "--include-partial-messages") as process:
        assert process.stdout is not None
        assert any("text_delta" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert scene.claude.run("Go on.", "--continue").answer == "We were interrupted."
    assert scene.heard.refused == []
    texts = [block["text"] for block in scene.said("text")]
    assert [text for text in texts if not text.startswith("<system-reminder>")] == [
        "Count.",
        "One",
        "[Request interrupted by user]",
        "No response requested.",
        "Go on.",
    ]


@pytest.mark.clause("CNT-1")
def test_it_counts_what_its_context_is_made_of(play: Play) -> None:
    scene = play("Never said.")
    assert "Context Usage" in scene.claude.run("/context").answer
    assert scene.heard.refused == []
    assert {exchange.path for exchange in scene.heard.exchanges} == {"/v1/messages/count_tokens"}


def test_an_answer_by_a_schema_is_a_call_of_a_tool_of_its_own(play: Play) -> None:
    scene = play(call(("StructuredOutput", {"city": "Ulm"})), "Done.")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    told = scene.claude.run("Name a city.", "--json-schema", json.dumps(schema))
    assert told.result["structured_output"] == {"city": "Ulm"}
    assert scene.heard.refused == []


@pytest.mark.clause("AUTH-3")
def test_a_wrong_key_is_final(play: Play) -> None:
    scene = play("Never said.", api_key="secret")
    told = scene.claude.run("Name a capital.")
    assert (told.result["is_error"], told.result["api_error_status"]) == (True, 401)
    assert [exchange.status for exchange in scene.heard.messages] == [401]


@pytest.mark.clause("ERR-10")
def test_an_unknown_model_is_reported(play: Play) -> None:
    scene = play("Never said.")
    told = scene.claude.run("Name a capital.", ANTHROPIC_MODEL="gpt-9")
    assert (told.result["is_error"], told.result["api_error_status"]) == (True, 404)
    assert "gpt-9" in told.result["result"]

"""Tests Codex with a scripted model."""

import json
import signal

import pytest

from dragoman.engines.scripted import Line

from .pictures import RED, color_of, write_picture
from .session import MIN_REUSE, StartCodex, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs it


def shell(command: str) -> str:
    """The text with which a model runs a command."""
    return call(("exec_command", {"cmd": command}))


@pytest.mark.clause("RSP-17")
def test_it_answers(start_codex: StartCodex) -> None:
    session = start_codex("The capital is Ulm.")
    assert session.codex.run("Name a capital.").answer == "The capital is Ulm."
    assert session.recorder.refused == []
    [only] = session.recorder.responses
    assert (only.body["stream"], only.body["store"], only.body["include"]) == (True, False, ["reasoning.encrypted_content"])


def test_a_search_without_access_to_the_web_is_left_out(start_codex: StartCodex) -> None:
    session = start_codex("The capital is Ulm.")
    transcript = session.codex.run("-c", 'web_search="cached"', "Name a capital.", sandbox="read-only")
    assert transcript.answer == "The capital is Ulm."
    assert {"type": "web_search", "external_web_access": False} in session.recorder.responses[-1].body["tools"]


@pytest.mark.clause("RSP-17")
def test_it_reads_edits_and_runs_over_several_turns(start_codex: StartCodex) -> None:
    session = start_codex(
        "I look.\n" + shell("cat hello.sh"),
        shell("sed -i 's/hello/guten Tag, Ulm/' hello.sh"),
        shell("sh hello.sh"),
        "It greets.",
        shell("rm hello.sh"),
        "It is gone.",
    )
    (session.codex.project / "hello.sh").write_text("echo hello\n")
    transcript = session.codex.run("Greet in German.")
    assert transcript.answer == "It greets."
    outputs = [command["aggregated_output"] for command in transcript.items("command_execution")]
    assert outputs == ["echo hello\n", "", "guten Tag, Ulm\n"]
    assert session.codex.resume("Remove it.").answer == "It is gone."
    assert not (session.codex.project / "hello.sh").exists()
    assert session.recorder.refused == []
    assert min(session.engine.reused()) > MIN_REUSE
    assert {exchange.diverged for exchange in session.recorder.exchanges} == {""}


@pytest.mark.clause("RSP-17")
def test_two_calls_in_one_turn_are_both_answered(start_codex: StartCodex) -> None:
    session = start_codex(shell("seq 3") + "\n" + shell("echo two"), "Both.")
    assert session.codex.run("Count twice.").answer == "Both."
    outputs = [item["output"] for item in session.items if item["type"] == "function_call_output"]
    assert [text.splitlines()[-1] for text in outputs] == ["3", "two"]


@pytest.mark.clause("RSP-17")
def test_a_failed_call_is_reported_to_the_model(start_codex: StartCodex) -> None:
    session = start_codex(shell("echo broken >&2; exit 3"), "It fails.")
    transcript = session.codex.run("Try it.")
    assert transcript.answer == "It fails."
    [command] = transcript.items("command_execution")
    assert (command["exit_code"], command["status"], command["aggregated_output"]) == (3, "failed", "broken\n")
    [output] = [item["output"] for item in session.items if item["type"] == "function_call_output"]
    assert "exited with code 3" in output


@pytest.mark.clause("RSP-8", "RSP-17")
def test_reasoning_before_a_call_is_sent_back_unchanged(start_codex: StartCodex) -> None:
    session = start_codex('<think>\nI must "look".\n</think>\n\n' + shell("pwd"), "Here.")
    transcript = session.codex.run("Where are you?")
    assert [item["text"] for item in transcript.items("reasoning")] == ['I must "look".']
    assert transcript.answer == "Here."
    [thought] = [item for item in session.items if item["type"] == "reasoning"]
    assert thought["encrypted_content"]
    assert min(session.engine.reused()) > MIN_REUSE
    assert {exchange.diverged for exchange in session.recorder.exchanges} == {""}


def test_an_answer_has_the_schema_of_its_user(start_codex: StartCodex) -> None:
    session = start_codex('{"city": "Ulm"}')
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    file = session.codex.folder / "schema.json"
    file.write_text(json.dumps(schema))
    assert json.loads(session.codex.run("--output-schema", str(file), "Name a city.").answer) == {"city": "Ulm"}
    assert session.recorder.responses[-1].body["text"]["format"]["schema"] == schema


@pytest.mark.clause("RSP-17")
def test_it_sees_a_picture(start_codex: StartCodex) -> None:
    session = start_codex(call(("view_image", {"path": "dot.png"})), "A red dot, twice.", sees=True)
    write_picture(session.codex.project / "dot.png", RED)
    assert session.codex.run("What is on it?", "--image", "dot.png").answer == "A red dot, twice."
    assert session.recorder.refused == []
    assert [color_of(image) for image in session.engine.images[-1]] == [RED, RED]


def test_a_picture_that_the_model_cannot_see_is_replaced_by_a_note(start_codex: StartCodex) -> None:
    session = start_codex("I see nothing.")
    write_picture(session.codex.project / "dot.png", RED)
    assert session.codex.run("What is on it?", "--image", "dot.png").answer == "I see nothing."
    assert session.recorder.refused == []


@pytest.mark.clause("RSP-17")
def test_a_long_conversation_is_compacted_and_continues(start_codex: StartCodex) -> None:
    summary = Line("We counted.", when="CONTEXT CHECKPOINT COMPACTION")
    session = start_codex(summary, shell("seq 1500"), "We have counted enough.", "And on.")
    limit = ["-c", "model_auto_compact_token_limit=6000", "-c", "model_context_window=20000"]
    assert session.codex.run(*limit, "Count.").answer == "We have counted enough."
    assert session.recorder.refused == []
    assert len(session.recorder.responses) == 3
    assert any("We counted." in text for text in session.texts("user"))
    assert "1500" not in json.dumps(session.items)


def test_an_overlong_prompt_is_reported(start_codex: StartCodex) -> None:
    session = start_codex("Never said.", window=3_000)
    assert "ran out of room in the model's context window" in session.codex.run("Count.").failure
    assert [exchange.status for exchange in session.recorder.responses] == [400]


@pytest.mark.clause("RSP-17")
def test_an_interrupted_turn_is_resumed(start_codex: StartCodex) -> None:
    session = start_codex(shell("echo started; sleep 60"), "We were interrupted.")
    with session.codex.start("Wait.") as process:
        assert process.stdout is not None
        assert any("command_execution" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert session.codex.resume("Go on.").answer == "We were interrupted."
    assert session.recorder.refused == []
    assert [item["type"] for item in session.items].count("function_call_output") == 1


def test_a_wrong_key_is_reported(start_codex: StartCodex) -> None:
    session = start_codex("Never said.", api_key="secret")
    assert "401" in session.codex.run("Name a capital.").failure
    assert {exchange.status for exchange in session.recorder.responses} == {401}


def test_an_unknown_model_is_reported(start_codex: StartCodex) -> None:
    session = start_codex("Never said.")
    assert "this server has scripted" in session.codex.run("--model", "unknown", "Name a capital.").failure
    assert [exchange.status for exchange in session.recorder.responses] == [404]


def test_a_live_web_search_is_refused_by_name(start_codex: StartCodex) -> None:
    session = start_codex("Never said.")
    failure = json.loads(session.codex.run("-c", 'web_search="live"', "News?").failure)
    assert 'web_search = "disabled"' in failure["error"]["message"]

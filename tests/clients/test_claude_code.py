"""Tests Claude Code with a scripted model."""

import base64
import json
import signal
from pathlib import Path

import pytest

from dragoman import dialects
from dragoman.engines.scripted import Line
from dragoman.server_tools import SearchSettings, ServerToolSettings
from media.pdf_files import encrypted, scan, text_pdf
from search_server import search_server

from .pictures import RED, color_of, write_picture
from .session import MIN_REUSE, SILENCE_S, Silence, StartSession, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs it


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
"""A PNG image of one pixel."""


@pytest.mark.clause("CC-1", "CC-2")
def test_it_answers(start_session: StartSession) -> None:
    session = start_session("The capital is Ulm.")
    assert session.claude.run("Name a capital.").answer == "The capital is Ulm."
    assert session.recorder.refused == []
    [only] = session.recorder.messages
    assert (only.body["stream"], only.body["thinking"]["type"]) == (True, "adaptive")


@pytest.mark.clause("CACHE-4", "CC-4")
def test_it_writes_reads_edits_and_runs(start_session: StartSession, tmp_path: Path) -> None:
    file = {"file_path": str(tmp_path / "project" / "hello.sh")}
    session = start_session(
        "I write it.\n" + call(("Write", {**file, "content": "echo hello\n"})),
        call(("Read", file)),
        call(("Edit", {**file, "old_string": "hello", "new_string": "'guten Tag, \"Ulm\"'"})),
        call(("Bash", {"command": "sh hello.sh", "description": "Run it"})),
        "It greets.",
    )
    assert session.claude.run("Make a greeting.").answer == "It greets."
    assert session.recorder.refused == []
    assert (session.project / "hello.sh").read_text() == "echo 'guten Tag, \"Ulm\"'\n"
    results = session.blocks("tool_result")
    assert [bool(result.get("is_error")) for result in results] == [False] * 4, results
    assert results[-1]["content"] == 'guten Tag, "Ulm"'
    assert min(session.engine.reused()) > MIN_REUSE


def test_two_calls_in_one_turn_are_both_answered(start_session: StartSession) -> None:
    session = start_session(
        call(
            ("Bash", {"command": "echo first", "description": "One"}),
            ("Bash", {"command": "echo second", "description": "Two"}),
        ),
        "Both ran.",
    )
    assert session.claude.run("Run two.").answer == "Both ran."
    assert session.recorder.refused == []
    results = {result["tool_use_id"]: result["content"] for result in session.blocks("tool_result")}  # in any order
    assert [results[block["id"]] for block in session.blocks("tool_use")] == ["first", "second"]


def test_thinking_before_a_call_is_sent_back_unchanged(start_session: StartSession) -> None:
    thought = "I had better look first.\nThen speak."
    qwen = dialects.get("qwen3")
    listing = call(("Bash", {"command": "ls -a", "description": "Look"}), dialect=qwen)
    session = start_session(f"<think>\n{thought}\n</think>\n\nLet me look.\n{listing}", "Nothing there.", dialect=qwen)
    assert session.claude.run("What is there?").answer == "Nothing there."
    assert session.recorder.refused == []
    [thinking] = session.blocks("thinking")
    assert thinking["thinking"] == thought
    assert thinking["signature"]
    assert min(session.engine.reused()) > MIN_REUSE


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
def test_a_file_full_of_the_dialects_own_markers_arrives_byte_for_byte(
    start_session: StartSession, tmp_path: Path, family: str
) -> None:
    dialect = dialects.get(family)
    text = "".join(f"{number}: {marker}\n" for number in range(180) for marker in MARKERS)
    assert len(text) > 20_000
    file = {"file_path": str(tmp_path / "project" / "markers.txt")}
    session = start_session(
        call(("Write", {**file, "content": text}), dialect=dialect),
        call(("Read", file), dialect=dialect),
        "There it is.",
        dialect=dialect,
    )
    assert session.claude.run("Write the markers.").answer == "There it is."
    assert session.recorder.refused == []
    assert (session.project / "markers.txt").read_text() == text
    assert session.blocks("tool_use")[0]["input"] == {**file, "content": text}
    assert "179: </tool_call>" in session.blocks("tool_result")[1]["content"]


@pytest.mark.clause("CC-5", "SSE-6")
def test_it_waits_through_a_long_silence(start_session: StartSession) -> None:
    session = start_session(Line("At last.", chunk=0, delay_ms=12_000))  # the first ping comes after ten seconds
    assert session.claude.run("Take your time.").answer == "At last."
    assert [exchange.status for exchange in session.recorder.exchanges] == [200]


@pytest.mark.clause("CC-5", "SSE-6")
def test_minutes_of_silence_do_not_end_or_repeat_a_turn(silence: Silence) -> None:
    transcript = silence.end()
    assert transcript.answer == "At last."
    assert transcript.result["duration_ms"] > SILENCE_S * 1000
    assert [exchange.status for exchange in silence.session.recorder.exchanges] == [200]
    assert len(silence.session.engine.prompts) == 1


def test_sub_agents_work_in_parallel(start_session: StartSession) -> None:
    tasks = [
        ("Agent", {"description": f"Find {name}", "prompt": f"Find {name}.", "run_in_background": False}) for name in ("A", "B")
    ]
    found = "The agent has found it."
    session = start_session(call(*tasks), found, found, Line("Both have found it.", when="has found it"))
    assert session.claude.run("Find A and B.").answer == "Both have found it."
    assert session.recorder.refused == []
    agents = [exchange.headers.get("x-claude-code-agent-id") for exchange in session.recorder.messages]
    assert (agents[0], agents[-1], len(set(agents))) == (None, None, 3)


@pytest.mark.clause("IN-4")
def test_an_image_that_the_model_cannot_see_is_replaced_by_a_note(start_session: StartSession) -> None:
    session = start_session(call(("Read", {"file_path": "dot.png"})), "A dot.")
    (session.project / "dot.png").write_bytes(PNG)
    assert session.claude.run("What is it?").answer == "A dot."
    assert session.recorder.refused == []
    assert len(session.recorder.messages) == 2
    [shown] = session.blocks("tool_result")
    assert shown["content"][0]["type"] == "image"
    assert min(session.engine.reused()) > MIN_REUSE


@pytest.mark.clause("IN-4", "CC-8")
def test_a_refused_image_costs_one_request(start_session: StartSession) -> None:
    session = start_session(call(("Read", {"file_path": "dot.png"})), "A dot.", strict_input=True)
    (session.project / "dot.png").write_bytes(PNG)
    assert session.claude.run("What is it?").answer == "A dot."
    [refusal] = session.recorder.refused
    assert "capability_rejected: image_block" in refusal


def test_it_sees_a_picture_that_it_reads(start_session: StartSession) -> None:
    session = start_session(call(("Read", {"file_path": "dot.png"})), "A red dot.", sees=True)
    write_picture(session.project / "dot.png", RED)
    assert session.claude.run("What is it?").answer == "A red dot."
    assert session.recorder.refused == []
    [nothing, [image]] = session.engine.images
    assert nothing == []
    assert color_of(image) == RED
    assert min(session.engine.reused()) > MIN_REUSE


RAIN = '<page number="2">\nIt rains in Ulm.\n</page>'


def test_it_reads_the_pages_of_a_pdf(start_session: StartSession) -> None:
    session = start_session(Line("It rains.", when=RAIN), call(("Read", {"file_path": "rain.pdf"})))
    (session.project / "rain.pdf").write_bytes(text_pdf(b"Weather", b"It rains in Ulm."))
    assert session.claude.run("What is the weather?").answer == "It rains."
    assert session.recorder.refused == []
    assert min(session.engine.reused()) > MIN_REUSE


def test_it_sees_the_pages_of_a_scan(start_session: StartSession) -> None:
    session = start_session(call(("Read", {"file_path": "scan.pdf"})), "It is red.", sees=True)
    (session.project / "scan.pdf").write_bytes(scan(1, 1, bytes(RED)))
    assert session.claude.run("What is it?").answer == "It is red."
    assert session.recorder.refused == []
    assert [color_of(image) for image in session.engine.images[-1]] == [RED]


@pytest.mark.clause("CC-8")
def test_a_pdf_that_cannot_be_read_costs_one_request(start_session: StartSession) -> None:
    session = start_session(call(("Read", {"file_path": "secret.pdf"})), "It is locked.")
    (session.project / "secret.pdf").write_bytes(encrypted(b"Hello", b"password"))
    assert session.claude.run("What is it?").answer == "It is locked."
    [refusal] = session.recorder.refused
    assert "capability_rejected: document_block" in refusal


def test_a_tool_is_found_by_search_and_used(start_session: StartSession) -> None:
    session = start_session(call(("ToolSearch", {"query": "select:CronList"})), call(("CronList", {})), "No jobs.")
    assert session.claude.run("Which jobs?").answer == "No jobs."
    assert session.recorder.refused == []
    assert [len(exchange.body["tools"]) for exchange in session.recorder.messages] == [12, 13, 13]
    assert min(session.engine.reused()) > MIN_REUSE


@pytest.mark.clause("ERR-11")
def test_an_overlong_first_prompt_is_reported_with_its_length(start_session: StartSession) -> None:
    session = start_session("Never said.", window=3000)
    transcript = session.claude.run("Name a capital.")
    assert (transcript.result["is_error"], transcript.result["api_error_status"]) == (True, 400)
    [refusal] = session.recorder.refused
    assert "prompt is too long" in refusal


@pytest.mark.clause("CC-8", "ERR-11")
def test_an_overlong_conversation_is_compacted_and_continues(start_session: StartSession) -> None:
    count = call(("Bash", {"command": "seq 1500", "description": "Count"}))
    summary = Line("<summary>We counted.</summary>", when="an <analysis> block followed by a <summary> block.")
    # Four results of 1,500 words do not fit after the client's own 7,200; three and the request for a summary do.
    session = start_session(summary, count, count, count, count, "We have counted enough.", window=12_900)
    assert session.claude.run("Count.").answer == "We have counted enough."
    assert [exchange.status for exchange in session.recorder.messages] == [200] * 4 + [400] + [200] * 2
    assert "We counted." in session.messages()[0]["content"]


@pytest.mark.clause("TRN-18")
def test_an_interrupted_turn_is_resumed(start_session: StartSession) -> None:
    session = start_session(Line("One " * 400, delay_ms=200), "We were interrupted.")
    with session.claude.start("Count.", "--include-partial-messages") as process:
        assert process.stdout is not None
        assert any("text_delta" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert session.claude.run("Go on.", "--continue").answer == "We were interrupted."
    assert session.recorder.refused == []
    texts = [block["text"] for block in session.blocks("text")]
    assert [text for text in texts if not text.startswith("<system-reminder>")] == [
        "Count.",
        "One",
        "[Request interrupted by user]",
        "No response requested.",
        "Go on.",
    ]


@pytest.mark.clause("CNT-1")
def test_the_context_command_counts_tokens(start_session: StartSession) -> None:
    session = start_session("Never said.")
    assert "Context Usage" in session.claude.run("/context").answer
    assert session.recorder.refused == []
    assert {exchange.path for exchange in session.recorder.exchanges} == {"/v1/messages/count_tokens"}


def test_an_answer_by_a_schema_is_a_tool_call(start_session: StartSession) -> None:
    session = start_session(call(("StructuredOutput", {"city": "Ulm"})), "Done.")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    transcript = session.claude.run("Name a city.", "--json-schema", json.dumps(schema))
    assert transcript.result["structured_output"] == {"city": "Ulm"}
    assert session.recorder.refused == []


@pytest.mark.clause("AUTH-3")
def test_a_wrong_key_is_not_retried(start_session: StartSession) -> None:
    session = start_session("Never said.", api_key="secret")
    transcript = session.claude.run("Name a capital.")
    assert (transcript.result["is_error"], transcript.result["api_error_status"]) == (True, 401)
    assert [exchange.status for exchange in session.recorder.messages] == [401]


@pytest.mark.clause("ERR-10")
def test_an_unknown_model_is_reported(start_session: StartSession) -> None:
    session = start_session("Never said.")
    transcript = session.claude.run("Name a capital.", ANTHROPIC_MODEL="gpt-9")
    assert (transcript.result["is_error"], transcript.result["api_error_status"]) == (True, 404)
    assert "gpt-9" in transcript.result["result"]


@pytest.mark.clause("TOOL-15")
def test_its_web_search_runs_on_the_server(start_session: StartSession) -> None:
    """Its tool makes a request of its own, with `web_search` as the only tool, and reads the blocks of the answer."""
    with search_server() as search:
        settings = ServerToolSettings(search=SearchSettings.of(f"searxng:{search.url}", ""))
        session = start_session(
            call(("ToolSearch", {"query": "select:WebSearch"})),
            call(("WebSearch", {"query": "tides of Ulm"})),
            call(("web_search", {"query": "tides"})),
            "High tide is at 12:34.",
            "It is at 12:34.",
            server_tools=settings,
        )
        assert session.claude.run("When is high tide?", "--allowedTools", "WebSearch").answer == "It is at 12:34."
    assert session.recorder.refused == []
    [tool] = session.recorder.messages[2].body["tools"]
    assert tool["type"].startswith("web_search_")
    assert search.queries == ["tides"]
    result = session.blocks("tool_result")[-1]
    assert "https://tides.example/ulm" in result["content"]
    assert "High tide is at 12:34." in result["content"]

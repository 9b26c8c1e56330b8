"""Prompts of a recorded agent with real templates: they are append-only, except for documented exceptions."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

import pytest

from corpus import templates
from dragoman.conversation import Text, Thinking, ToolCall
from dragoman.dialects import Dialect
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate
from dragoman.prompt.render import Renderer

from .agent import THOUGHT, breaks, record
from .append_only_exceptions import DATED, ESCAPED, EXCEPTIONS, WORDS_LOST
from .conversations import conversation_of, user
from .families import family_of
from .recording import Recording
from .tables import DOCS, append_only

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXPECTED = (
    "What does a.txt", "🦊", "hello", "noon", "b.txt", "no such file", "c.txt", "Be brief", "It says hello", "And d.txt",
    "Tell me", "d.txt", "empty", "Nothing.", "Thanks", "Be kind", "You are welcome", "Bye",
)  # fmt: skip
CALLS = [["read", "now"], ["read"], ["read"], [], ["read"], [], []]

Recordings = Mapping[str, list[Recording]]


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    """The recordings by template: without reasoning, and with it if the family has reasoning."""
    return {
        name: [record(source, dialect, thinks=thinks) for thinks in ((False, True) if dialect.reasoning else (False,))]
        for name, source in templates().items()
        for dialect in [family_of(name)]
    }


@pytest.mark.clause("CACHE-4", "REQ-12", "TOOL-8", "THK-10")
def test_each_prompt_begins_with_the_previous_one_and_its_output_except_for_known_exceptions(recordings: Recordings) -> None:
    found = {name: " ".join(map(breaks, runs)) for name, runs in recordings.items()}
    assert {name: row for name, row in found.items() if row.strip(". ")} == EXCEPTIONS


@pytest.mark.clause("CACHE-4", "REQ-12")
def test_earlier_turns_are_not_rewritten_except_for_known_exceptions(recordings: Recordings) -> None:
    rewriting = {name for name, runs in recordings.items() if any(run.rewritings() for run in runs)}
    assert rewriting <= {name for name, row in EXCEPTIONS.items() if "R" in row or "T" in row}


@pytest.mark.clause("CACHE-4")
def test_prompts_do_not_depend_on_the_date_except_for_known_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        day = 1

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls(2031, 1, cls.day, tzinfo=tz)

    def prompt(source: str, dialect: Dialect, day: int) -> str:
        Clock.day = day
        template = ChatTemplate(source)
        return Renderer(inspect(template, dialect)).render(conversation_of(user("Hi"))).text

    monkeypatch.setattr("dragoman.prompt.sandbox_filters.datetime", Clock)
    dated = {name for name, source in templates().items() if len({prompt(source, family_of(name), day) for day in (1, 2)}) > 1}
    assert dated == DATED


@pytest.mark.clause("IN-8", "REQ-11", "TOOL-8", "TOOL-17")
def test_no_text_is_lost(recordings: Recordings) -> None:
    for name, runs in recordings.items():
        for run in runs:
            prompt, position = run.following()[-1], 0
            for words in EXPECTED:
                if (words == "noon" and run.dialect.frame) or (words == "🦊" and name in ESCAPED):
                    continue
                assert words in prompt[position:], f"{name} loses {words!r}"
                position = prompt.index(words, position)


def test_text_beside_a_call_is_not_lost_except_for_known_exceptions(recordings: Recordings) -> None:
    lost = {
        name
        for name, runs in recordings.items()
        for run in runs
        for content in run.read
        if any(part.text.strip() not in run.following()[-1] for part in content if isinstance(part, Text))
    }
    assert lost == WORDS_LOST


@pytest.mark.clause("TOOL-8", "THK-6")
def test_the_output_of_the_agent_is_parsed_into_its_original_parts(recordings: Recordings) -> None:
    for name, runs in recordings.items():
        for thinks, run in enumerate(runs):
            if run.dialect.calls is None:
                continue
            calls = [[part.name for part in content if isinstance(part, ToolCall)] for content in run.read]
            assert calls == ([names[:1] for names in CALLS] if run.dialect.frame else CALLS), name
            thoughts = [[part.text for part in content if isinstance(part, Thinking)] for content in run.read]
            assert thoughts == [[THOUGHT] * thinks] * len(run.read), name
            assert [part.text.strip() for part in run.read[3] if isinstance(part, Text)] == ["It says hello."], name


def test_the_table_in_the_docs_is_up_to_date(recordings: Recordings) -> None:
    rows = {name: (runs[0].dialect.name, [breaks(run) for run in runs]) for name, runs in recordings.items()}
    assert append_only(rows) in DOCS.read_text(encoding="utf-8"), "update it with scripts/append-only-table"

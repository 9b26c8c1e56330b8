"""Context edits on a dialogue: what they clear, and that each breaks the prefix of the prompt once."""

from dataclasses import replace

import pytest

from dragoman.conversation import Dialogue, Image, Text, Thinking, ToolCall, ToolResult, Turn
from dragoman.conversation.context_edits import CLEARED, ClearThinking, ClearToolUses, apply
from prompt.conversations import NOW, assistant, user

WORDS = "word " * 100
REASONED = (
    user("One?"),
    assistant(Thinking("First."), "Look.", ToolCall("a", "read", {"path": "x"})),
    user(ToolResult.of_text("a", "read", "text")),
    assistant(Thinking("Second."), "One."),
    user("Two?"),
    assistant("Two."),
    user("Three?"),
    assistant(Thinking("Third."), "Three."),
    user("Four?"),
)


def loop(uses: int, *, text: str = WORDS, name: str = "read") -> Dialogue:
    """A dialogue with this many tool uses, which can be called by `call_0`, `call_1` and so on."""
    turns: list[Turn] = [user("Read all files.")]
    for number in range(uses):
        call = ToolCall(f"call_{number}", name if number % 2 else "now", {"path": f"file {number}"})
        turns += [assistant(call), user(ToolResult.of_text(call.id, call.name, f"{number} {text}"))]
    return Dialogue(turns=turns, tools=[NOW])


def tokens(dialogue: Dialogue) -> int:
    """About how many tokens a prompt of the dialogue has."""
    results = (part for turn in dialogue.turns for part in turn.content if isinstance(part, ToolResult))
    return 20 + sum(len(result.text) // 4 + 5 for result in results)


def cleared_by(dialogue: Dialogue, edit: ClearToolUses) -> list[str]:
    edited, (count,) = apply(dialogue, [(edit, tokens(dialogue))])
    results = [part for turn in edited.turns for part in turn.content if isinstance(part, ToolResult)]
    found = [result.call_id for result in results if result.text == CLEARED]
    assert len(found) == count
    return found


def calls(*numbers: int) -> list[str]:
    return [f"call_{number}" for number in numbers]


@pytest.mark.parametrize(
    ("keep", "kept", "cleared"),
    [(1, ["Third."], 1), (2, ["First.", "Second.", "Third."], 0), (3, ["First.", "Second.", "Third."], 0)],
)
def test_reasoning_is_kept_in_the_newest_answers_that_have_any(keep: int, kept: list[str], cleared: int) -> None:
    edited, counts = apply(Dialogue(turns=REASONED), [(ClearThinking(keep), 100)])
    assert [part.text for turn in edited.turns for part in turn.content if isinstance(part, Thinking)] == kept
    assert counts == [cleared]
    texts = [part for turn in edited.turns for part in turn.content if not isinstance(part, Thinking)]
    assert texts == [part for turn in REASONED for part in turn.content if not isinstance(part, Thinking)]


def test_a_dialogue_without_uses_or_reasoning_stays_the_same() -> None:
    dialogue = Dialogue(turns=(user("Hi"), assistant("Hello."), user("So?")))
    edited, counts = apply(dialogue, [(ClearThinking(1), 10), (ClearToolUses(uses=0, keep=0), 10)])
    assert edited == dialogue
    assert counts == [0, 0]


def test_uses_are_counted_for_a_trigger_of_uses() -> None:
    assert cleared_by(loop(3), ClearToolUses(uses=3, keep=1)) == []
    assert cleared_by(loop(4), ClearToolUses(uses=3, keep=1)) == calls(0, 1, 2)
    assert cleared_by(loop(5), ClearToolUses(uses=3, keep=1)) == calls(0, 1, 2)
    assert cleared_by(loop(6), ClearToolUses(uses=3, keep=1)) == calls(0, 1, 2)
    assert cleared_by(loop(7), ClearToolUses(uses=3, keep=1)) == calls(0, 1, 2, 3, 4, 5)


def test_all_uses_are_cleared_if_none_is_kept() -> None:
    assert cleared_by(loop(2), ClearToolUses(uses=0, keep=0)) == calls(0, 1)


def test_a_prompt_over_its_trigger_is_edited_and_is_then_below_it() -> None:
    dialogue = loop(20)
    whole = tokens(dialogue)
    for share in (2, 3, 4):
        edit = ClearToolUses(tokens=whole // share, keep=2)
        assert edit.may_apply(whole)
        edited, (count,) = apply(dialogue, [(edit, whole)])
        assert count >= 1
        assert tokens(edited) <= whole // share
    assert not ClearToolUses(tokens=whole, keep=2).may_apply(whole)


def test_the_newest_uses_are_kept_when_they_are_cleared_under_way() -> None:
    found = cleared_by(loop(20), ClearToolUses(tokens=1, keep=3))
    assert found == calls(*range(17))


def test_excluded_tools_keep_their_results() -> None:
    edit = ClearToolUses(uses=1, keep=1, exclude=frozenset({"now"}))
    assert cleared_by(loop(5), edit) == calls(1)
    assert cleared_by(loop(6), edit) == calls(1, 3)


@pytest.mark.parametrize(("least", "cleared"), [(1, 3), (10_000, 0)])
def test_too_small_a_saving_clears_nothing(least: int, cleared: int) -> None:
    assert len(cleared_by(loop(4), ClearToolUses(uses=3, keep=1, at_least=least))) == cleared


@pytest.mark.parametrize(
    ("inputs", "emptied"), [(False, []), (True, calls(0, 1, 2)), (frozenset({"now"}), calls(0, 2)), (frozenset({"x"}), [])]
)
def test_arguments_are_cleared_if_that_is_asked(inputs: bool | frozenset[str], emptied: list[str]) -> None:
    edited, _ = apply(loop(4), [(ClearToolUses(uses=3, keep=1, inputs=inputs), 1)])
    parts = [part for turn in edited.turns for part in turn.content if isinstance(part, ToolCall)]
    assert [part.id for part in parts if not part.input] == emptied


def test_a_cleared_result_keeps_its_failure_and_loses_its_images() -> None:
    picture = Image(b"png", "image/png", "digest")
    failed = ToolResult("a", "read", (Text("broken"), picture), is_error=True)
    turns = (user("Look."), assistant(ToolCall("a", "read", {})), user(failed))
    edited, _ = apply(Dialogue(turns=turns), [(ClearToolUses(uses=0, keep=0), 1)])
    assert edited.turns[-1].content == (replace(failed, content=(Text(CLEARED),)),)


@pytest.mark.parametrize("edit", [ClearToolUses(tokens=2_000, keep=3), ClearToolUses(uses=8, keep=3)])
def test_each_edit_breaks_the_prefix_once(edit: ClearToolUses) -> None:
    previous: tuple[Turn, ...] = ()
    breaks, counts = 0, set()
    for uses in range(1, 60):
        dialogue = loop(uses)
        whole = tokens(dialogue)
        edited, (count,) = apply(dialogue, [(edit, whole)]) if edit.may_apply(whole) else (dialogue, (0,))
        breaks += tuple(edited.turns)[: len(previous)] != previous
        counts.add(count)
        previous = tuple(edited.turns)
    edits = len(counts - {0})
    assert edits >= 4
    assert breaks == edits

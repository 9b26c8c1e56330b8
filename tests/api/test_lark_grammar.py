"""Lark grammars as regular expressions."""

import json
import re
import time
from contextlib import suppress

import pytest

from constraints.test_lark import grammar, holds
from dragoman.api.openai.lark_grammar import UnsupportedGrammar, lark_pattern
from dragoman.constraints.tree import Json

PATCH = r"""
start: begin hunk+ end          // comments end with the line
begin: "*** Begin" LF
end.2: "*** End" LF?

?hunk: add | _delete
add: "*** Add // " NAME LF line+ -> added
_delete: "*** Delete " NAME LF
    | "*** Remove " NAME LF

line: ("+" | "-" | " ") /(.*)/ LF
NAME: /[a-z\/"]+/

%import common.LF
"""


@pytest.mark.clause("RSP-6")
def test_a_grammar_of_patches_is_enforced_in_json() -> None:
    pattern = f"^(?:{lark_pattern(PATCH)})$"
    right = [
        '*** Begin\n*** Add // a/"b"\n+x "y"\n-\\\n*** Delete a\n*** End',
        "*** Begin\n*** Remove a\n*** End\n",
    ]
    wrong = ["*** Begin\n*** End", "*** Begin\n*** Add // a\n*** End", "*** Begin\n*** Add // A\n+\n*** End", right[1] + "\n"]
    made = grammar(Json({"type": "string", "pattern": pattern}))
    for text in (*right, *wrong):
        assert bool(re.fullmatch(pattern.removesuffix("$"), text)) == (text in right), text
        assert holds(made, json.dumps(text)) == (text in right), text


@pytest.mark.parametrize(
    ("definition", "matches", "others"),
    [
        ('start: "a.b" | "c" "d"?', ["a.b", "c", "cd"], ["axb", "a", "d", ""]),
        ('start: ["x"] /y+/i', ["xy", "YY"], ["x", "Xy"]),
        ('start: "ab"i ~ 2..3', ["abAB", "ababab"], ["ab", "abababab"]),
        ('start: "a".."c" ~ 2 ("-" | "]")*', ["ab", "ca-]"], ["a", "ad"]),
        ('start: a\na: b b\nb: /x|y/ "\\n"', ["x\ny\n"], ["x\n", "xy"]),
        ("start: /a.b/s", ["a\nb"], ["ab"]),
        ("start: INT WS N\n%import common (INT, WS)\n%import common.CNAME -> N", ["1 x_2"], ["1x", "a b"]),
        ('start: "a"\n  | "b"\n\n  | "c"', ["a", "b", "c"], ["ab"]),
        ('start: "/" "\\"" "\\\\" "\\x41\\u00e9\\*\\t"', ['/"\\Aé*\t'], ["/"]),
        ("start:", [""], ["a"]),
    ],
)
def test_a_grammar_matches_what_lark_matches(definition: str, matches: list[str], others: list[str]) -> None:
    pattern = lark_pattern(definition)
    assert {text: bool(re.fullmatch(pattern, text)) for text in (*matches, *others)} == (
        dict.fromkeys(matches, True) | dict.fromkeys(others, False)
    )


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ('start: "(" start? ")"', "the rule start contains itself"),
        ("start: a\na: b\nb: a", "the rule a contains itself"),
        ("start: x", "it does not define x"),
        ('a: "b"', "it does not define start"),
        ('start: "a"\n%ignore " "', "it has %ignore"),
        ("start: X\n%import python.X", "it has %import"),
        ("start: X\n%import common.X", "it imports X"),
        ("start: /a/m", "the flags m"),
        ('start: ("a"', "a ')' is missing"),
        ('start: "a" )', "it cannot be read at ')'"),
        ("start: ~ 2", "it cannot be read at '~'"),
        ('start: "a" ~', "a number is missing"),
        ('start: "a" ->', "a name is missing"),
        ('start: "a".."bc"', "a range needs two characters"),
        ("start: $", "it cannot be read at '$'"),
        ("what is this", "it cannot be read at 'what is this'"),
        ("start: " + "(" * 60 + '"a"' + ")" * 60, "it is nested too deeply"),
        ("start: a0\n" + "".join(f"a{n}: a{n + 1} a{n + 1}\n" for n in range(40)) + 'a40: "x"', "it is too large"),
        ("x" * 20_001, "it is too long"),
    ],
)
def test_a_grammar_that_cannot_be_enforced_is_refused_with_the_reason(definition: str, reason: str) -> None:
    with pytest.raises(UnsupportedGrammar) as raised:
        lark_pattern(definition)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize("piece", ['\\"', "/", "\n", "\n|", '"', "(", "a.", "/a", "\\", '"a" ', "!"])
def test_the_time_for_a_grammar_is_in_proportion_to_its_length(piece: str) -> None:
    definition = "start: " + piece * (20_000 // len(piece) - 10)
    began = time.process_time()
    with suppress(UnsupportedGrammar):
        lark_pattern(definition)
    assert time.process_time() - began < 2

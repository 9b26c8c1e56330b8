"""Text that spells a special token is required of the model like any other, and no constraint is lost over it."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from dragoman.constraints.compiler import Grammars
from dragoman.constraints.forced_text import forced_texts
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Series, Text, Until
from dragoman.engines.llama.embedded import EmbeddedLlama
from engines.conftest import collect, make_request, text

SPECIAL = "<file_sep>"
"""A special token of the models here."""

SPELLED: dict[str, tuple[Node, list[str]]] = {
    # constraint, texts that it allows
    "a value": (Json({"const": f"{SPECIAL}so"}), [f'"{SPECIAL}so"']),
    "one of several": (Json({"enum": [f"a {SPECIAL} b", f"c {SPECIAL} d"]}), [f'"a {SPECIAL} b"', f'"c {SPECIAL} d"']),
    "the name of a property": (
        Json({"type": "object", "properties": {SPECIAL: {"const": 1}}, "required": [SPECIAL], "additionalProperties": False}),
        [f'{{"{SPECIAL}": 1}}'],
    ),
    "a pattern of a schema": (
        Json({"type": "string", "pattern": rf"^(?:\x3cfile_sep>)so{SPECIAL}$"}),
        [f'"{SPECIAL}so{SPECIAL}"'],
    ),
    "a pattern": (Pattern("<file[_]sep>so"), [f"{SPECIAL}so"]),
    "text before an end": (Until(("END",), (f"{SPECIAL}(a|b)",)), [f"{SPECIAL}aEND", f"{SPECIAL}bEND"]),
    "parts of a series": (
        Series((Literal("</"), Literal("file_sep"), Literal("> <"), Literal("file_sep"), Literal(">"))),
        [f"</file_sep> {SPECIAL}"],
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.clause("TOOL-11", "STR-3")
@pytest.mark.parametrize("name", SPELLED)
async def test_the_engine_holds_the_model_to_it(tiny_engine: EmbeddedLlama, name: str) -> None:
    node, allowed = SPELLED[name]
    request = make_request(await tiny_engine.tokenize("Hello"), 40)
    held = replace(request, constraint=Constraint(node, name), special_tokens=(SPECIAL,))
    assert text(await collect(tiny_engine, held)) in allowed


async def no_tokens(given: str, *, special: bool = True) -> list[int]:
    """A tokenizer with one special token."""
    return [9, *map(ord, given.replace(SPECIAL, ""))] if special and SPECIAL in given else [*map(ord, given)]


@pytest.mark.parametrize(
    "node",
    [
        Json({"type": "object", "properties": {"file_sep": {"enum": ["file_sep", "<file>", "x"]}}}),
        Pattern("[<]x[>]"),
        Text(),
        Choice((Literal("file"), Literal(SPECIAL))),
    ],
)
async def test_other_grammars_force_their_tokens(node: Node) -> None:
    """So the model writes what it has to write in the tokens that it would choose itself."""
    assert "no_forcing" not in await Grammars(no_tokens).of(Constraint(node, "key"))


@pytest.mark.parametrize("number", range(len(SPELLED)))
async def test_a_grammar_in_which_a_special_token_is_spelled_does_not(number: int) -> None:
    nodes: Sequence[Node] = [node for node, _ in SPELLED.values()]
    constraint = Constraint(nodes[number], "key")
    assert any(SPECIAL in found for found in forced_texts(constraint))
    assert "no_forcing" in await Grammars(no_tokens).of(constraint)

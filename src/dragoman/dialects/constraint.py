"""What a turn in a dialect must look like, given the tools and what the client asks for.

The calls are the encoder's own writing with holes in it: calls are written with marks for the name, the arguments, the id and
the place, and what stands between the marks is what the model has to write. So a constraint asks for what the family writes,
and what history shows, to the byte.

A turn is free text until a call begins, and the call is then held to its tool's schema. Where a call is forced, there is
exactly one, and nothing before it but reasoning; where a tool is strict, no call can begin in another way, not even inside
reasoning. A dialect whose calls begin like any other text (bare JSON, messages with an address) is held only where something
is forced or strict.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Repeat, Series, Text, Until, one_of
from dragoman.conversation.types import Conversation, Tool, ToolChoice
from dragoman.dialects.constrained_arguments import Arguments
from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Frame, Reasoning
from dragoman.dialects.writer import Written, write
from dragoman.json_schema.forms import loosened, ordered, tightened, unrolled
from dragoman.json_schema.references import Schema

_REMEMBERED = 64
_DEEPEST = 5
"""Levels of a recursive schema that a model may fill where it must fill it."""

_NAME, _ARGUMENTS = "\ufdd1", "\ufdd2"
_ID = "q" * 40
_PLACE = 987_654_320
_HOLES = re.compile(f"({_NAME}|{_ARGUMENTS}|q{{9,}}|98765432[01])")
_NOTHING = Series(())


class Constrainer:
    """Makes the constraints of one dialect, and remembers the latest."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._known: OrderedDict[str, Constraint | None] = OrderedDict()

    def constraint(self, conversation: Conversation, *, thinking_open: bool) -> Constraint | None:
        """What the answer is held to; None where anything goes. `thinking_open`: the prompt ends inside reasoning."""
        key = self.key(conversation, thinking_open=thinking_open)
        if not self.knows(key):
            self.remember(key, _Turn(self.dialect, conversation, thinking_open=thinking_open).constraint(key))
        return self.known(key)

    def key(self, conversation: Conversation, *, thinking_open: bool) -> str:
        """The same for the same constraint."""
        asked = (
            self.dialect.name,
            conversation.callable,
            conversation.tool_policy,
            conversation.output,
            conversation.thinking.enabled,
            thinking_open,
        )
        return blake2b(msgspec.json.encode(asked), digest_size=16).hexdigest()

    def knows(self, key: str) -> bool:
        """Whether the constraint of this key is remembered."""
        return key in self._known

    def remember(self, key: str, constraint: Constraint | None) -> None:
        """Keep a constraint; the one that was used longest ago goes."""
        self._known[key] = constraint
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def known(self, key: str) -> Constraint | None:
        """The constraint of a key that is remembered."""
        self._known.move_to_end(key)
        return self._known[key]


def call_opening(dialect: Dialect, tools: Sequence[Tool]) -> str:
    """How a call of one of these tools begins: up to its name, and with one tool up to its arguments; "" without calls."""
    if dialect.calls is None:
        return ""
    head, *rest = _skeleton(dialect, [Written(_NAME, _ARGUMENTS)])
    return head + tools[0].name + rest[1] if len(tools) == 1 and rest[2] == _ARGUMENTS else head


def _skeleton(dialect: Dialect, calls: Sequence[Written]) -> list[str]:
    """What a dialect writes for these calls, cut at its holes: text, hole, text, hole, ..., text."""
    return _HOLES.split(write(dialect, calls))


class _Turn:
    """The parts of one turn's constraint."""

    def __init__(self, dialect: Dialect, conversation: Conversation, *, thinking_open: bool) -> None:
        policy = conversation.tool_policy
        self._dialect = dialect
        self._output = conversation.output
        self._thinking_open = thinking_open
        self._may_think = thinking_open or conversation.thinking.enabled
        self._forced = policy.forced
        tools = conversation.callable if policy.choice is not ToolChoice.NONE and dialect.calls is not None else ()
        self._tools = [tool for tool in tools if policy.name in (None, tool.name)]
        self._parallel = policy.parallel and not self._forced  # a small model that must call never finds the end of calling
        self._firm = self._forced or any(tool.strict for tool in self._tools)
        self._barred = tuple(opener for calls in (dialect.calls,) if calls for opener in (*calls.section_opens, *calls.opens))
        self._silent = policy.choice is ToolChoice.NONE and bool(conversation.callable) and bool(self._barred)
        self._arguments = Arguments(dialect.calls.codec) if dialect.calls else None

    def constraint(self, key: str) -> Constraint | None:
        frame = self._dialect.frame
        if not self._tools and self._output is None and not self._silent:
            return None
        root = self._framed(frame) if frame is not None else self._whole()
        if root is None:
            return None
        path = "tools" if self._tools else "output_config.format"
        return Constraint(root, key, self._arguments.rules if self._arguments else {}, path)

    def _whole(self) -> Node | None:
        """A turn without a frame: reasoning, then the rest."""
        calls = self._calls() if self._tools else None
        if self._output is not None:
            formatted = self._formatted(calls)
            if formatted is None:
                return None
            body = formatted
        elif calls is None:
            body = self._free()
        elif self._forced:
            body = calls
        else:
            auto = self._auto(calls)
            if auto is None:
                return None
            body = auto
        return self._thoughtful(body, calls)

    def _thoughtful(self, body: Node, calls: Node | None) -> Node:
        """Reasoning in front of the rest: it has begun, or it may begin."""
        reasoning = self._dialect.reasoning
        if reasoning is None or not self._may_think or not reasoning.closes:
            return body
        held = self._forced or self._output is not None
        behind = Series((Literal(_gap(reasoning)), body)) if held else body
        thought: Node = Series((Until(reasoning.closes), behind))
        if not self._thinking_open:
            return Choice((Series((Literal(reasoning.opens[0]), thought)), body))
        ways: list[Node] = [thought]
        trigger = self._trigger
        if self._firm and calls is not None and reasoning.ended_by_call and trigger:
            ways.append(Series((Until((trigger,)), self._calls(begun=True), *([] if self._forced else [self._free()]))))
        if not held:  # a model may end its turn without having closed its reasoning
            ways.append(Text(without=(*reasoning.closes, *(self._barred if self._firm else ()))))
        return Choice(tuple(ways))

    def _auto(self, calls: Node) -> Node | None:
        """Free text until a call begins; None where that cannot be told from text and nothing is strict."""
        shape, trigger = self._dialect.calls, self._trigger
        if shape is None or ((shape.bare or shape.doubtful or not trigger) and not self._firm):
            return None
        if not trigger:
            head = _skeleton(self._dialect, [Written(_NAME, _ARGUMENTS)])[0]
            return Choice((calls, Text(beginning=head)))
        called = Series((*self._asides(), Until((trigger,)), self._calls(begun=True)))
        if self._parallel:
            return Series((Repeat(called), self._free()))
        return Choice((called, self._free()))

    def _formatted(self, calls: Node | None) -> Node | None:
        """The answer as one JSON text (STR-3); with tools, calls may come instead (STR-6).

        None where a call is a bare JSON object as well, and a grammar cannot tell at the first brace which it will be.
        """
        if calls is not None and not self._forced and self._dialect.calls and self._dialect.calls.bare.startswith("{"):
            return None
        answer: Node = Json(ordered(self._schema(self._output or {})))
        lead = _lead(self._dialect.reasoning)
        if lead:
            answer = Choice((Series((Literal(lead), answer)), answer))
        if calls is None:
            return answer
        return calls if self._forced else Choice((calls, answer))

    def _free(self) -> Node:
        """Text without a call, with the dialect's other marks where it likes."""
        return Series((*self._asides(), Text(without=self._barred)))

    def _asides(self) -> list[Node]:
        """Text up to any of the marks that stand in free text: they may be special tokens."""
        reasoning = self._dialect.reasoning
        marks = [*self._dialect.wrapper.tags]
        if reasoning is not None:
            marks += [*reasoning.opens, *reasoning.closes, *reasoning.tags]
        marks = [mark for mark in marks if not reasoning or mark not in reasoning.word_like_markers]
        return [Repeat(Until(tuple(dict.fromkeys(marks))))] if marks else []

    @property
    def _trigger(self) -> str:
        """What a block of calls begins with, where that is no ordinary text."""
        return (*self._barred, "")[0] if self._dialect.frame is None else ""

    def _calls(self, *, begun: bool = False) -> Node:
        """One call, or several where they may be parallel. `begun`: the trigger has been written."""
        one = [Written(_NAME, _ARGUMENTS, _ID, _PLACE)]
        alone, pair = _skeleton(self._dialect, one), _skeleton(self._dialect, one * 2)
        inner = alone[1:-1]
        head, between, tail = alone[0], pair[len(alone) - 1], pair[-1]
        if begun:
            head = head.removeprefix(self._trigger)
        call = self._call(inner)
        more = [Repeat(Series((Literal(between), call)))] if self._parallel and between else []
        return Series((Literal(head), call, *more, Literal(tail)))

    def _schema(self, schema: Schema) -> Schema:
        """What the model has to keep to: all of it where that was asked for, and then recursion has to end somewhere."""
        tight: Schema = tightened(schema)
        return unrolled(tight, _DEEPEST) if self._firm or self._output is not None else loosened(tight)

    def _call(self, inner: Sequence[str]) -> Node:
        """A call from its first hole to its last, each tool by its own name and schema."""
        arguments = self._arguments
        assert arguments is not None

        def fill(piece: str, tool: Tool) -> Node:
            if piece == _NAME:
                return Literal(tool.name)
            if piece == _ARGUMENTS:
                return arguments.of(self._schema(tool.schema))
            if piece.startswith("qqq"):
                return Pattern(f"[a-zA-Z0-9]{{{len(piece)}}}")
            return Pattern("[0-9]{1,4}") if _HOLES.fullmatch(piece) else Literal(piece)

        return one_of([Series([fill(piece, tool) for piece in inner if piece]) for tool in self._tools])

    def _framed(self, frame: Frame) -> Node | None:
        """A turn of messages: reasoning first, then calls, or one message for the user."""
        reasoning = self._dialect.reasoning
        header = frame.text + frame.header_end
        if self._output is not None:
            body: Node = Series((Literal(header), Json(ordered(self._schema(self._output)))))
            body = Choice((self._calls(), body)) if self._tools else body
        elif not self._firm:
            return None
        else:
            body = self._calls() if self._forced else Choice((self._calls(), Series((Literal(header), Text()))))
        if reasoning is None or not self._may_think:
            return body
        thought: Node = Series((Until((reasoning.force_close.removesuffix(header),)), body))
        return thought if self._thinking_open else Choice((Series((Literal(reasoning.opens[0]), thought)), body))


def _gap(reasoning: Reasoning) -> str:
    """The blanks that the family writes behind its reasoning."""
    behind = _behind(reasoning)
    return behind[: len(behind) - len(behind.lstrip())]


def _lead(reasoning: Reasoning | None) -> str:
    """What the family writes in front of its answer, behind reasoning and its blanks."""
    return _behind(reasoning).lstrip() if reasoning else ""


def _behind(reasoning: Reasoning) -> str:
    for close in reasoning.closes:
        _, found, behind = reasoning.force_close.partition(close)
        if found:
            return behind
    return ""

"""The constraint on an answer in a dialect, from the tools and the request's policies.

Calls are written by `writer` with placeholders for the name, the arguments, the id and the position; the text between the
placeholders is required of the model. So a constraint requires the bytes that the family writes, and that the history shows.

An answer is free text until a call begins, and the call then has to follow its tool's schema. If a call is forced, there is
exactly one, with nothing before it but reasoning; if a tool is strict, no call can begin in another way, not even inside
reasoning. A dialect whose calls begin like any other text (bare JSON, messages with recipients) is constrained only if a call
is forced or a tool is strict.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from dragoman.constraints.tree import (
    Choice,
    Constraint,
    Json,
    Literal,
    Node,
    Opening,
    Pattern,
    Repeat,
    Series,
    Text,
    Until,
    one_of,
)
from dragoman.conversation.types import AnswerPolicy, Tool, ToolChoice
from dragoman.dialects.codecs import Rules
from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import CallsInside, Frame, Reasoning
from dragoman.dialects.writer import WrittenCall
from dragoman.json_schema.forms import loosened, ordered, tightened, unrolled
from dragoman.json_schema.references import Schema

_MAX_CACHED = 64
_MAX_RECURSION = 5
"""Levels to which a recursive schema is unrolled, so that a model which has to fill it comes to an end."""

_NAME, _ARGUMENTS = "\ufdd1", "\ufdd2"
_ID = "q" * 40
_POSITION = 987_654_320
_PLACEHOLDERS = re.compile(f"({_NAME}|{_ARGUMENTS}|q{{9,}}|98765432[01])")
_NOTHING = Series(())


class Constrainer:
    """Builds the constraints of one dialect, and caches the latest ones."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._cache: OrderedDict[str, Constraint | None] = OrderedDict()

    def constraint(self, policy: AnswerPolicy, *, thinking_open: bool) -> Constraint | None:
        """The constraint on the answer, or None for none. `thinking_open`: the prompt ends inside reasoning."""
        key = self.key(policy, thinking_open=thinking_open)
        if not self.has(key):
            self.store(key, _Builder(self.dialect, policy, thinking_open=thinking_open).constraint(key))
        return self.cached(key)

    def key(self, policy: AnswerPolicy, *, thinking_open: bool) -> str:
        """The cache key: equal for requests with the same constraint."""
        asked = (
            self.dialect.name,
            policy.tools,
            policy.tool_policy,
            policy.output,
            policy.thinking.enabled,
            thinking_open,
        )
        return blake2b(msgspec.json.encode(asked), digest_size=16).hexdigest()

    def has(self, key: str) -> bool:
        """Whether the constraint of this key is cached."""
        return key in self._cache

    def store(self, key: str, constraint: Constraint | None) -> None:
        """Cache a constraint, and evict the least recently used one if there are too many."""
        self._cache[key] = constraint
        if len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)

    def cached(self, key: str) -> Constraint | None:
        """The constraint of a key that is cached."""
        self._cache.move_to_end(key)
        return self._cache[key]


def call_opening(dialect: Dialect, tools: Sequence[Tool]) -> str:
    """The beginning of a call of one of these tools: up to its name, or with one tool up to its arguments; "" without calls."""
    if dialect.calls is None:
        return ""
    head, *rest = _skeleton(dialect, [WrittenCall(_NAME, _ARGUMENTS)])
    return head + tools[0].name + rest[1] if len(tools) == 1 and rest[2] == _ARGUMENTS else head


def _skeleton(dialect: Dialect, calls: Sequence[WrittenCall]) -> list[str]:
    """The written calls, split at their placeholders: text, placeholder, text, placeholder, ..., text."""
    return _PLACEHOLDERS.split(dialect.write(calls))


class _Builder:
    """Builds the constraint of one request."""

    def __init__(self, dialect: Dialect, policy: AnswerPolicy, *, thinking_open: bool) -> None:
        choice = policy.tool_policy
        self._dialect = dialect
        self._output = policy.output
        self._thinking_open = thinking_open
        self._may_think = thinking_open or policy.thinking.enabled
        self._forced = choice.forced
        tools = policy.tools if choice.choice is not ToolChoice.NONE and dialect.calls is not None else ()
        self._tools = [tool for tool in tools if choice.name in (None, tool.name)]
        self._parallel = choice.parallel and not self._forced  # small models that must call do not stop calling
        self._strict = self._forced or any(tool.strict for tool in self._tools)
        self._call_openers = tuple(
            opener for calls in (dialect.calls,) if calls for opener in (*calls.section_opens, *calls.opens)
        )
        self._calls_forbidden = choice.choice is ToolChoice.NONE and bool(policy.tools) and bool(self._call_openers)
        self._rules = Rules()
        self._after_trigger: Node | None = None
        self._free: Node | None = None

    def constraint(self, key: str) -> Constraint | None:
        frame = self._dialect.frame
        if not self._tools and self._output is None and not self._calls_forbidden:
            return None
        root = self._framed(frame) if frame is not None else self._unframed()
        if root is None:
            return None
        path = "tools" if self._tools else "output_config.format"
        return Constraint(root, key, self._rules.named, path, self._opening(key))

    def _opening(self, key: str) -> Opening | None:
        """Where an answer that may be free text becomes a call; None where it may not be, or where a call begins like text."""
        shape, reasoning = self._dialect.calls, self._dialect.reasoning if self._may_think else None
        if self._free is None or self._after_trigger is None or shape is None or shape.bare or shape.doubtful:
            return None
        if self._strict and reasoning is not None:
            if reasoning.calls_inside is CallsInside.TENTATIVE:
                return None
            reasoning = None  # a call follows its schema there, too
        return Opening(
            self._trigger,
            [opener for opener in dict.fromkeys(self._call_openers) if opener != self._trigger],
            Constraint(self._after_trigger, f"{key}-after", self._rules.named),
            Constraint(self._free, f"{key}-instead", self._rules.named),
            reasoning.opens if reasoning else (),
            reasoning.closes if reasoning else (),
            reasoning is not None and self._thinking_open,
        )

    def _unframed(self) -> Node | None:
        """An answer without a frame: reasoning, then the rest."""
        calls = self._calls() if self._tools else None
        if self._output is not None:
            formatted = self._formatted(calls)
            if formatted is None:
                return None
            body = formatted
        elif calls is None:
            body = self._free_text()
        elif self._forced:
            body = calls
        else:
            auto = self._auto(calls)
            if auto is None:
                return None
            body = auto
        return self._with_reasoning(body, calls)

    def _with_reasoning(self, body: Node, calls: Node | None) -> Node:
        """The rest of the answer with reasoning before it, which is open already or may begin."""
        reasoning = self._dialect.reasoning
        if reasoning is None or not self._may_think or not reasoning.closes:
            return body
        fixed = self._forced or self._output is not None
        after = Series((Literal(_space_after(reasoning)), body)) if fixed else body
        thought: Node = Series((Until(reasoning.closes), after))
        if not self._thinking_open:
            return Choice((Series((Literal(reasoning.opens[0]), thought)), body))
        ways: list[Node] = [thought]
        trigger = self._trigger
        if self._strict and calls is not None and reasoning.calls_inside is not CallsInside.TENTATIVE and trigger:
            ways.append(Series((Until((trigger,)), self._calls(begun=True), *([] if self._forced else [self._free_text()]))))
        if not fixed:  # a model may end its answer inside its reasoning
            ways.append(Text(without=(*reasoning.closes, *(self._call_openers if self._strict else ()))))
        return Choice(tuple(ways))

    def _auto(self, calls: Node) -> Node | None:
        """Free text until a call begins; None if calls begin like text and no tool is strict."""
        shape, trigger = self._dialect.calls, self._trigger
        if shape is None or ((shape.bare or shape.doubtful or not trigger) and not self._strict):
            return None
        if not trigger:
            head = _skeleton(self._dialect, [WrittenCall(_NAME, _ARGUMENTS)])[0]
            return Choice((calls, Text(beginning=head)))
        begun = self._calls(begun=True)
        called = Series((*self._other_markers(), Until((trigger,)), begun))
        if self._parallel:
            self._free = Series((Repeat(called), self._free_text()))
            self._after_trigger = Series((begun, self._free))
        else:
            self._free = Choice((called, self._free_text()))
            self._after_trigger = begun
        return self._free

    def _formatted(self, calls: Node | None) -> Node | None:
        """The answer as one JSON text (STR-3); with tools, calls may come instead (STR-6).

        None if a call is a bare JSON object as well: a grammar cannot distinguish the two at the first brace.
        """
        if calls is not None and not self._forced and self._dialect.calls and self._dialect.calls.bare.startswith("{"):
            return None
        answer: Node = Json(ordered(self._schema(self._output or {})))
        opener = _answer_opener(self._dialect.reasoning)
        if opener:
            answer = Choice((Series((Literal(opener), answer)), answer))
        if calls is None:
            return answer
        return calls if self._forced else Choice((calls, answer))

    def _free_text(self) -> Node:
        """Text without a call, with the dialect's other markers anywhere in it."""
        return Series((*self._other_markers(), Text(without=self._call_openers)))

    def _other_markers(self) -> list[Node]:
        """Text up to any of the markers that may appear in free text: they may be special tokens."""
        reasoning = self._dialect.reasoning
        markers = [*self._dialect.wrapper.tags]
        if reasoning is not None:
            markers += [*reasoning.opens, *reasoning.closes, *reasoning.tags]
        markers = [marker for marker in markers if not reasoning or marker not in reasoning.word_like_markers]
        return [Repeat(Until(tuple(dict.fromkeys(markers))))] if markers else []

    @property
    def _trigger(self) -> str:
        """The beginning of a block of calls, if it is not ordinary text."""
        return (*self._call_openers, "")[0] if self._dialect.frame is None else ""

    def _calls(self, *, begun: bool = False) -> Node:
        """One call, or several where they may be parallel. `begun`: the trigger has been written."""
        one = [WrittenCall(_NAME, _ARGUMENTS, _ID, _POSITION)]
        alone, pair = _skeleton(self._dialect, one), _skeleton(self._dialect, one * 2)
        inner = alone[1:-1]
        head, between, tail = alone[0], pair[len(alone) - 1], pair[-1]
        if begun:
            head = head.removeprefix(self._trigger)
        call = self._call(inner)
        more = [Repeat(Series((Literal(between), call)))] if self._parallel and between else []
        return Series((Literal(head), call, *more, Literal(tail)))

    def _schema(self, schema: Schema) -> Schema:
        """The schema to enforce: all of it, with limited recursion, if that was asked for; else a loosened one."""
        tight: Schema = tightened(schema)
        return unrolled(tight, _MAX_RECURSION) if self._strict or self._output is not None else loosened(tight)

    def _call(self, inner: Sequence[str]) -> Node:
        """A call from its first placeholder to its last, for each tool with its own name and schema."""
        assert self._dialect.calls is not None
        codec = self._dialect.calls.codec

        def fill(piece: str, tool: Tool) -> Node:
            if piece == _NAME:
                return Literal(tool.name)
            if piece == _ARGUMENTS:
                return codec.constraint(self._schema(tool.schema), self._rules)
            if piece.startswith("qqq"):
                return Pattern(f"[a-zA-Z0-9]{{{len(piece)}}}")
            return Pattern("[0-9]{1,4}") if _PLACEHOLDERS.fullmatch(piece) else Literal(piece)

        return one_of([Series([fill(piece, tool) for piece in inner if piece]) for tool in self._tools])

    def _framed(self, frame: Frame) -> Node | None:
        """An answer in messages: reasoning first, then calls, or one message for the user."""
        reasoning = self._dialect.reasoning
        header = frame.text + frame.header_end
        if self._output is not None:
            body: Node = Series((Literal(header), Json(ordered(self._schema(self._output)))))
            body = Choice((self._calls(), body)) if self._tools else body
        elif not self._strict:
            return None
        else:
            body = self._calls() if self._forced else Choice((self._calls(), Series((Literal(header), Text()))))
        if reasoning is None or not self._may_think:
            return body
        thought: Node = Series((Until((reasoning.force_close.removesuffix(header),)), body))
        return thought if self._thinking_open else Choice((Series((Literal(reasoning.opens[0]), thought)), body))


def _space_after(reasoning: Reasoning) -> str:
    """The whitespace that the family writes after its reasoning."""
    after = _text_after(reasoning)
    return after[: len(after) - len(after.lstrip())]


def _answer_opener(reasoning: Reasoning | None) -> str:
    """The markup that the family writes before its answer, after the reasoning and its whitespace."""
    return _text_after(reasoning).lstrip() if reasoning else ""


def _text_after(reasoning: Reasoning) -> str:
    for close in reasoning.closes:
        _, found, after = reasoning.force_close.partition(close)
        if found:
            return after
    return ""

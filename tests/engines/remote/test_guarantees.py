"""Every cell of the table in docs/engines.md, tested with its engine."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from tokenizers import Tokenizer

from conftest import body, live_server
from controllable_engine import until
from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import MessagesRequest
from dragoman.api.base import parse
from dragoman.constraints.structural_tag import structural_tag
from dragoman.conversation import Tool
from dragoman.dialects import Constrainer, call_opening
from dragoman.media.notes import CANNOT_SEE
from dragoman.observability.log_entry import RequestLogEntry
from engines.folders import MARKER
from engines.remote.constraint_check import by_tag, passes
from engines.remote.engine_cases import ENGINE_CASES, REAL_CASES, WITHOUT_LLGUIDANCE, EngineCase, differs
from engines.remote.guarantees import COLUMNS, GUARANTEES, PAGE, REAL, UNREADABLE, Guarantee, How, call, renewed
from engines.remote.pictures import SEEING
from engines.vllm_real.test_structural_tags import xgrammar_accepts
from media.pictures import in_base64
from server.http import Answer, post
from vision_model import BLUE, RED

Serve = Callable[[EngineCase, str], tuple[str, Any]]


def pieces(output: str) -> Iterator[bytes]:
    """An output in pieces of three bytes, and its markers whole, as a model writes those that are tokens."""
    for part in re.split(f"({re.escape(MARKER)})", output):
        data = part.encode()
        yield from [data] if part == MARKER else (data[at : at + 3] for at in range(0, len(data), 3))


class Cell(NamedTuple):
    """A guarantee with one engine: a server, its engine's upstream and its log."""

    guarantee: Guarantee
    case: EngineCase
    url: str
    upstream: Any
    folder: Path
    log: list[RequestLogEntry]

    def ask(self, text: str) -> Answer:
        """The server's answer when the model generates this text."""
        self.upstream.says(*pieces(text.removeprefix(self.opening)))
        return post(self.url, body(**self.guarantee.fields))

    def allows(self, text: str) -> bool:
        """Whether the constraint of the guarantee's request allows this text.

        Over llama.cpp it may be that of a second request, for what follows the string at which the first one stopped.
        """
        before = len(self.upstream.received)
        self.ask(text)
        first, last = self.upstream.received[before], self.upstream.received[-1]
        if "stop" not in first.body or last is first:
            return passes(last.constraint, self.folder)(text)
        begins, *barred = first.body["stop"]
        free, _, rest = text.partition(begins)
        assert not any(stop in free for stop in barred)
        return passes(last.constraint, self.folder)(rest)

    @property
    def opening(self) -> str:
        """The opening of the call that is written into the prompt."""
        choice = self.guarantee.fields.get("tool_choice", {})
        if choice.get("type") not in ("any", "tool") or not differs(self.case, "enforces calls"):
            return ""
        offered = [Tool(tool["name"], "", tool["input_schema"]) for tool in self.guarantee.fields["tools"]]
        tools = [tool for tool in offered if tool.name == choice.get("name", tool.name)]
        return call_opening(dialects.get(self.guarantee.dialect), tools)


class Log(logging.Handler):
    """Keeps the request log's entries."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[RequestLogEntry] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert isinstance(record.args, tuple)
        self.entries.append(getattr(record.args[0], "entry", None))


@pytest.fixture(scope="module")
def served(folder: Path, real_servers: Callable[[EngineCase], Any]) -> Iterator[Serve]:
    """Serves an engine in a dialect, once for all cells that need it: the URL and the upstream."""
    with ExitStack() as running:
        upstreams: dict[str, Any] = {}
        urls: dict[tuple[str, str], str] = {}

        def serve(case: EngineCase, dialect: str) -> tuple[str, Any]:
            if case in REAL_CASES:
                upstreams[case.name] = real_servers(case)
            elif case.name not in upstreams:
                upstream = upstreams[case.name] = case.upstream(folder)
                upstream.start_upstream()
                running.callback(upstream.stop_upstream)
            upstream = upstreams[case.name]
            upstream.reset()
            if (case.name, dialect) not in urls:
                server = live_server(case.connect(upstream), id="scripted", dialect=dialects.get(dialect))
                urls[case.name, dialect] = running.enter_context(server)
            return urls[case.name, dialect], upstream

        yield serve


@pytest.fixture
def log() -> Iterator[list[RequestLogEntry]]:
    logger, handler = logging.getLogger("dragoman.request"), Log()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler.entries
    logger.removeHandler(handler)
    logger.setLevel(level)


def sends(form: str) -> Callable[[Cell], None]:
    """A proof that the constraint sent for a forced call contains that word; with "" that none is sent."""

    def proof(cell: Cell) -> None:
        cell.ask(cell.guarantee.kept[0])
        sent = cell.upstream.received[-1].constraint
        assert form in sent if form else sent.strip('"') == ""

    return proof


def is_held(cell: Cell) -> None:
    assert [text for text in cell.guarantee.kept if not cell.allows(text)] == []
    assert [text for text in cell.guarantee.broken if cell.allows(text)] == []


def is_cut(cell: Cell) -> None:
    (text,) = cell.guarantee.broken
    assert [block["type"] for block in cell.ask(text).json["content"]] == ["tool_use"]


def is_held_and_cut(cell: Cell) -> None:
    is_held(cell)
    is_cut(cell)


def is_held_to_a_depth(cell: Cell) -> None:
    shallow, deep = cell.guarantee.kept
    assert cell.allows(shallow)
    assert not any(cell.allows(text) for text in (deep, *cell.guarantee.broken))


def is_begun(cell: Cell) -> None:
    """The model continues after the opening of a call; if it does not, its answer counts as cut."""
    (text,) = cell.guarantee.kept
    assert [block["type"] for block in cell.ask(text).json["content"]] == ["tool_use"]
    tokenizer = Tokenizer.from_file(str(cell.folder / "tokenizer.json"))
    prompt = tokenizer.decode(list(cell.upstream.received[-1].prompt), skip_special_tokens=False)
    assert cell.opening
    assert prompt.endswith(cell.opening)
    assert cell.ask(cell.guarantee.broken[0]).json["stop_reason"] == "max_tokens"


def is_reported(cell: Cell) -> None:
    """The log line reports it as a violation."""
    for text in cell.guarantee.broken:
        assert cell.allows(text)
        request_id = cell.ask(text).headers["request-id"]
        until(lambda request_id=request_id: any(entry.request_id == request_id and entry.broken for entry in cell.log))  # type: ignore[misc]


def is_refused(cell: Cell) -> None:
    answer = cell.ask("I see.")
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "this server's engine cannot hold" in answer.error[1]


def is_read(cell: Cell) -> None:
    """A client gets an answer, whatever the model generates."""
    for text in (*cell.guarantee.kept, *cell.guarantee.broken):
        assert cell.allows(text)
        assert cell.ask(text).status == HTTPStatus.OK


def is_relaxed_together(cell: Cell) -> None:
    """All patterns are removed; a call of one of the tools is still enforced."""
    cell.upstream.unreadable = UNREADABLE
    is_read(cell)
    assert not any(cell.allows(text) for text in ("There.", call(name="rm"), call(5)))


def is_relaxed(cell: Cell) -> None:
    cell.upstream.unreadable = UNREADABLE
    is_held(cell)


def is_seen(cell: Cell) -> None:
    """A model that sees nothing, as that of the stand-in, gets a note instead."""
    assert cell.ask("I see.").status == HTTPStatus.OK
    received = cell.upstream.received[-1]
    assert in_base64(RED.data) not in str(received.body)
    tokenizer = Tokenizer.from_file(str(cell.folder / "tokenizer.json"))
    assert CANNOT_SEE.sentence in tokenizer.decode(list(received.prompt))

    with TemporaryDirectory() as folder, SEEING[cell.case.name](Path(folder)) as seen:
        assert seen(RED) == seen(RED) != seen(BLUE)


PROOFS: Mapping[How, Callable[[Cell], None]] = {
    How.LARK: sends("%llguidance"),
    How.GBNF: sends("root ::= "),
    How.TAGS: sends("structural_tag"),
    How.FORMATS: sends(""),
    How.PROMPT: sends(""),
    How.HELD: is_held,
    How.CUT: is_cut,
    How.HELD_AND_CUT: is_held_and_cut,
    How.SHALLOW: is_held_to_a_depth,
    How.BEGUN: is_begun,
    How.REPORTED: is_reported,
    How.REFUSED: is_refused,
    How.READ: is_read,
    How.BARRED: is_held,
    How.SPELLED: is_read,
    How.ALONE: is_held,
    How.TOGETHER: is_relaxed_together,
    How.RELAXED: is_relaxed,
    How.SEEN: is_seen,
}

CELLS = [
    pytest.param(guarantee, column, name, id=f"{guarantee.title}-{name}")
    for guarantee in GUARANTEES
    for column, name in (*COLUMNS.items(), *REAL.items())
    if name not in REAL.values() or guarantee.how[column] is not How.SEEN  # a scripted engine sees nothing
]


@pytest.mark.slow
@pytest.mark.clause("TOOL-5", "TOOL-7", "TOOL-9", "TOOL-11", "STR-3")
@pytest.mark.parametrize(("guarantee", "column", "name"), CELLS)
def test_a_guarantee_is_kept_as_documented(  # noqa: PLR0917 -- fixtures
    guarantee: Guarantee, column: str, name: str, served: Serve, folder: Path, log: list[RequestLogEntry]
) -> None:
    case = next(case for case in (*ENGINE_CASES, WITHOUT_LLGUIDANCE, *REAL_CASES) if case.name == name)
    url, upstream = served(case, guarantee.dialect)
    PROOFS[guarantee.how[column]](Cell(guarantee, case, url, upstream, folder, log))


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_xgrammar_agrees_with_our_reader_of_structural_tags(folder: Path) -> None:
    """And it does not compile patterns that are refused as unreadable."""
    held = [guarantee for guarantee in GUARANTEES if guarantee.kept]
    tags = [(guarantee, step, tag(guarantee, step)) for guarantee in held for step in (0, 1)]
    texts = [[*guarantee.kept, *guarantee.broken] for guarantee, _, _ in tags]
    found = xgrammar_accepts([(made, row) for (_, _, made), row in zip(tags, texts, strict=True)])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for (guarantee, step, made), row, accepted in zip(tags, texts, found, strict=True):
        if UNREADABLE in str(guarantee.fields) and step == 0:
            assert isinstance(accepted, str)
        else:
            assert accepted == [by_tag(made["format"], tokenizer, text) for text in row], guarantee.title


def tag(guarantee: Guarantee, step: int) -> dict[str, Any]:
    """The structural tag for a guarantee's request."""
    wanted = parse(MessagesRequest, json.dumps(body(**guarantee.fields)).encode())
    held = Constrainer(dialects.get(guarantee.dialect)).constraint(lower(wanted).policy, thinking_open=False)
    assert held is not None
    return structural_tag(held, {}, step)


def test_the_documentation_has_the_tested_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == renewed(), "run scripts/engine-table"

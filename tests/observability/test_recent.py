"""The kept requests are bounded: in number, and in the bytes of their content."""

from collections.abc import Mapping

from dragoman.observability import Record
from dragoman.observability.details import AnswerDetails
from dragoman.observability.recent import Inspect, Phase, RecentRequests
from dragoman.observability.secrets import without_secrets
from dragoman.parts import Ending, Prefill, StopReason, Text, TokenCounts
from dragoman.parts.server_tools import ServerCallStart, ServerResult, ServerToolKind, ToolFailure

NO_HEADERS: Mapping[str, str] = {}


class _Source:
    def __init__(self, written: str) -> None:
        self.written = [written]
        self.constraint = None


def asked(recent: RecentRequests, name: str, body: bytes = b"", *, over: bool = True) -> Record:
    record = Record(name, "POST", "/v1/messages")
    recent.open(record, NO_HEADERS, "")
    if record.details:
        record.details.body = body
        record.details.answers = [AnswerDetails(_Source("written"))]
    if over:
        recent.close(record, record.entry())
    return record


def ids(recent: RecentRequests) -> list[str]:
    return [request.record.request_id for request in recent]


def test_only_the_last_requests_are_kept_and_those_that_run_stay() -> None:
    recent = RecentRequests(Inspect.METADATA, most_requests=3)
    asked(recent, "running", over=False)
    for number in range(5):
        asked(recent, str(number))
    assert ids(recent) == ["4", "3", "running"]


def test_requests_that_run_are_bounded_too() -> None:
    recent = RecentRequests(Inspect.METADATA, most_requests=3)
    for number in range(5):
        asked(recent, str(number), over=False)
    assert ids(recent) == ["4", "3", "2"]


def test_the_content_of_old_requests_makes_room_and_their_fields_stay() -> None:
    recent = RecentRequests(Inspect.FULL, most_bytes=10_000)
    records = [asked(recent, str(number), bytes(4_000)) for number in range(4)]
    assert [request.summary.has_content for request in recent] == [True, True, False, False]
    assert [record.details is not None for record in records] == [False, False, True, True]


def test_a_request_that_is_over_holds_no_generation() -> None:
    recent = RecentRequests(Inspect.FULL)
    record = asked(recent, "over")
    assert record.details is not None
    assert record.details.answers[0].written == "written"
    assert record.work is None
    assert record.details.answers[0]._source is None


def test_a_part_is_kept_with_its_time_and_counted() -> None:
    recent = RecentRequests(Inspect.FULL)
    record = asked(recent, "over", over=False)
    observe = record.observer(0)
    ending = Ending(StopReason.END_TURN, TokenCounts(3))
    for part in (Prefill(3, 0, 2), Prefill(3, 0, 3), Text("Hi"), ending):
        observe(part)
    assert record.details is not None
    assert record.details.answers[0].parts[-1] is ending
    assert len(record.details.answers[0].times) == 4
    assert record.prefilled == 3
    assert record.ending == "end_turn"


def test_runs_of_tools_are_recorded_after_the_first_output_too() -> None:
    record = asked(RecentRequests(Inspect.FULL), "one", over=False)
    observe = record.observer(0)
    observe(Text("I look."))
    observe(ServerCallStart(ServerToolKind.WEB_SEARCH, "web_search", "srvtoolu_1"))
    observe(ServerResult(ServerToolKind.WEB_SEARCH, "srvtoolu_1", ToolFailure(ServerToolKind.WEB_SEARCH, "unavailable")))
    (run,) = record.tool_runs
    assert run.end is not None


def test_without_content_parts_are_counted_only() -> None:
    record = asked(RecentRequests(Inspect.METADATA), "one", over=False)
    assert record.details is None
    assert record.observer(0) == record.add_part


def test_off_keeps_nothing() -> None:
    recent = RecentRequests(Inspect.OFF)
    asked(recent, "one")
    assert ids(recent) == []


def test_the_phase_follows_the_record() -> None:
    recent = RecentRequests(Inspect.METADATA)
    record = asked(recent, "one", over=False)
    [request] = recent
    phases = [request.phase]
    record.ask("model", stream=True)
    phases.append(request.phase)
    record.use("model")
    phases.append(request.phase)
    record.ready = record.age
    phases.append(request.phase)
    record.start()
    phases.append(request.phase)
    record.add_part(Prefill(2, 0, 2))
    phases.append(request.phase)
    recent.close(record, record.entry())
    phases.append(request.phase)
    assert phases == [Phase.PREPARE, Phase.LOAD, Phase.PREPARE, Phase.QUEUE, Phase.PREFILL, Phase.DECODE, Phase.OVER]


def test_secrets_of_known_forms_are_removed() -> None:
    secrets = [
        "sk-ant-api03-abcdefghijklmnopqrst",
        "sk-proj-abcdefghijklmnopqrst",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijklmn",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefghijkl",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijkl",
        "-----BEGIN OPENSSH PRIVATE KEY-----\\nabc\\n-----END OPENSSH PRIVATE KEY-----",
    ]
    for secret in secrets:
        text, count = without_secrets(f'{{"a": "before {secret} after"}}')
        assert (count, secret in text) == (1, False), secret
        assert text.startswith('{"a": "before [removed: ')
        assert text.endswith('] after"}')


def test_values_of_secret_variables_are_removed_and_their_names_stay() -> None:
    for text, kept in (
        ("export DB_PASSWORD=correct-horse", "export DB_PASSWORD=[removed: password]"),
        ("OPENAI_API_KEY=abcd1234", "OPENAI_API_KEY=[removed: password]"),
        ("postgres://user:correct@host/db", "postgres://[removed: password]@host/db"),
        ("Authorization: Bearer abcdefghijklmnop1234", "Authorization: Bearer [removed: bearer token]"),
    ):
        assert without_secrets(text)[0] == kept


def test_ordinary_text_is_kept() -> None:
    for text in (
        "The password is checked.",
        "password = read()",
        "task-and-skill",
        "https://example.com:8000/a@b",
        "secretary",
    ):
        assert without_secrets(text) == (text, 0)


def test_much_text_takes_time_in_proportion_to_its_length() -> None:
    for text in ("eyJ" * 100_000, "://" * 100_000, "-----BEGIN " * 30_000, "gh" * 150_000, "A" * 300_000):
        assert without_secrets(text) == (text, 0)

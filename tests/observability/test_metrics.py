"""The metrics page, as Prometheus scrapes it."""

import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from dragoman.observability import Record, RequestLogEntry
from dragoman.observability.log_entry import Seconds, Tokens
from dragoman.observability.metrics import Metrics
from dragoman.observability.model_metrics import ModelCounts

from .test_record import FinishedWork

PAGE = """
import sys
from pathlib import Path
from dragoman.observability.metrics import Metrics
print(Metrics(list, Path(sys.argv[1])).page().decode())
"""
"""A process of its own, since a shared folder changes all metrics of the process."""


def scraped(metrics: Metrics) -> dict[str, float]:
    """Return every sample that is not zero, by name and labels."""
    families = text_string_to_metric_families(metrics.page().decode())
    return {
        " ".join([sample.name.removeprefix("dragoman_"), *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
        if sample.value and not sample.name.endswith("_created")
    }


def entry(status: int = 200, **fields: object) -> RequestLogEntry:
    fields = {"seconds": Seconds(1.0), **fields}
    return RequestLogEntry("req_1", "POST", "/v1/messages", "/v1/messages", status, **fields)  # type: ignore[arg-type]


def test_an_answer_counts_its_tokens_and_times() -> None:
    metrics = Metrics(list)
    metrics.count(
        entry(
            seconds=Seconds(3.0, first_token=0.7, decode=2.0),
            tokens=Tokens(prompt=100, new=20, cached=80, output=40, thinking=10, drafted=30, accepted=25),
            repairs=("quotes", "bracket", "quotes"),
            diverged="at token 3",
        )
    )
    found = scraped(metrics)
    buckets = {name: found.pop(name) for name in list(found) if "_bucket" in name}
    assert found == {
        "requests_total /v1/messages 200": 1,
        "prompt_tokens_total": 100,
        "cached_tokens_total": 80,
        "output_tokens_total": 40,
        "thinking_tokens_total": 10,
        "drafted_tokens_total": 30,
        "accepted_tokens_total": 25,
        "repairs_total quotes": 2,
        "repairs_total bracket": 1,
        "divergences_total": 1,
        "time_to_first_token_seconds_count": 1,
        "time_to_first_token_seconds_sum": 0.7,
        "time_per_output_token_seconds_count": 1,
        "time_per_output_token_seconds_sum": 0.05,
    }
    assert min(float(name.split()[1]) for name in buckets if "first" in name) == 1.0
    assert min(float(name.split()[1]) for name in buckets if "per_output" in name) == 0.06


def test_failures_count_by_type_and_disconnects_by_duration() -> None:
    metrics = Metrics(list)
    metrics.count(entry(529, ending="error", error="overloaded_error"))
    metrics.count(entry(499, ending="client_left", seconds=Seconds(1.0, stop=0.02)))
    found = scraped(metrics)
    assert found["errors_total overloaded_error"] == 1
    assert found["requests_total /v1/messages 529"] == found["requests_total /v1/messages 499"] == 1
    assert (found["cancel_seconds_count"], found["cancel_seconds_sum"]) == (1, 0.02)


def test_unknown_paths_share_one_name() -> None:
    metrics = Metrics(list)
    for path in ("/a", "/b"):
        metrics.count(RequestLogEntry("req_1", "GET", path, "", 404, Seconds(0.0)))
    assert scraped(metrics) == {"requests_total unknown 404": 2}


def test_gauges_show_open_requests() -> None:
    metrics = Metrics(list)
    one, other = (Record(request_id, "POST", "/v1/messages") for request_id in ("req_1", "req_2"))
    with metrics.open(one):
        with metrics.open(other):
            assert scraped(metrics) == {}
            one.wait(FinishedWork())
            other.wait(FinishedWork())
            assert scraped(metrics) == {"requests_waiting": 2}
            one.start()
            assert scraped(metrics) == {"requests_waiting": 1, "requests_running": 1}
        assert scraped(metrics) == {"requests_running": 1}
    assert scraped(metrics) == {}


def test_counts_are_read_from_the_models() -> None:
    big = ModelCounts("big", loaded=True, loads=3, failures=0, restarts=2, memory=5)
    small = ModelCounts("small", loaded=False, loads=1, failures=4, restarts=1, memory=7)
    assert scraped(Metrics(lambda: [big, small])) == {
        "engine_restarts_total": 3,
        "model_loaded big": 1,
        "model_memory_bytes big": 5,
        "model_loads_total big": 3,
        "model_loads_total small": 1,
        "model_load_failures_total small": 4,
    }


def test_two_applications_in_a_process_do_not_share_metrics() -> None:
    one, other = Metrics(list), Metrics(list)
    one.count(entry())
    assert scraped(other) == {}


def test_a_file_that_another_process_has_just_begun_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").touch()
    done = subprocess.run([sys.executable, "-c", PAGE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "dragoman_requests_running 0.0" in done.stdout

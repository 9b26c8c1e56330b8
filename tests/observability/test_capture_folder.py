"""The folder of `--capture` keeps to its limits of size and age."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dragoman.observability import CapturedExchange
from dragoman.observability.capture_folder import CaptureFolder
from dragoman.observability.captured import CapturedRequest, CapturedResponse, iso_time

NOW = datetime.now(UTC)
DAY = 86_400.0


def exchange(number: int, age: float = 0) -> CapturedExchange:
    """An exchange of about 1 kB that began `age` seconds ago."""
    began = NOW - timedelta(seconds=age)
    request = CapturedRequest("POST", "/v1/messages", {}, "x" * 1000)
    return CapturedExchange(f"req_{number}", iso_time(began), request, CapturedResponse(200, {}, ()))


def kept(folder: Path) -> list[str]:
    return [path.stem.partition("-")[2] for path in sorted(folder.glob("*Z-*.json"))]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_without_limits_everything_is_kept(tmp_path: Path) -> None:
    folder = CaptureFolder(tmp_path)
    for number in range(3):
        folder.keep(exchange(number, age=1000 * DAY))
    assert kept(tmp_path) == ["req_0", "req_1", "req_2"]


def test_the_oldest_files_are_removed_beyond_the_size(tmp_path: Path) -> None:
    folder = CaptureFolder(tmp_path, limit=5000)
    for number in range(20):
        folder.keep(exchange(number, age=100 - number))
        assert size(tmp_path) <= 5000
        names = kept(tmp_path)
        assert names == [f"req_{number}" for number in range(number + 1 - len(names), number + 1)]
    assert 2 < len(kept(tmp_path)) < 5


def test_files_are_removed_when_they_become_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CaptureFolder(tmp_path, age=7 * DAY)
    for number, days in enumerate((8, 6, 1)):
        folder.keep(exchange(number, days * DAY))
    assert kept(tmp_path) == ["req_1", "req_2"]
    later = NOW + timedelta(days=2)

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return later

    monkeypatch.setattr("dragoman.observability.capture_folder.datetime", Later)
    folder.keep(exchange(3))
    assert kept(tmp_path) == ["req_2", "req_3"]


def test_a_new_process_counts_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    for number in range(10):
        CaptureFolder(tmp_path).keep(exchange(number, age=100 - number))
    CaptureFolder(tmp_path, limit=5000).keep(exchange(10))
    assert size(tmp_path) <= 5000
    assert kept(tmp_path)[-1] == "req_10"


def test_files_that_the_capture_did_not_write_stay(tmp_path: Path) -> None:
    foreign = tmp_path / "notes.json"
    foreign.write_text("y" * 9000, encoding="utf-8")
    (tmp_path / "20200101T000000.000Z-req_folder.json").mkdir()
    linked = tmp_path / "20200101T000000.000Z-req_link.json"
    linked.symlink_to(foreign)
    folder = CaptureFolder(tmp_path, limit=0, age=0)
    folder.keep(exchange(1, age=1))
    assert kept(tmp_path) == ["req_folder", "req_link"]
    assert foreign.stat().st_size == 9000

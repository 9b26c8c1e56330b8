"""The folder of saved KV caches, with files that stand for llama.cpp's."""

import os
import shutil
import stat
import time
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dragoman.engines.llama.cache_folder import CacheFolder, CacheKey, StoredFile, clear, excess, read_key, stored_files
from dragoman.engines.llama.saved_prompts import SavedPrompt

KEY = CacheKey("tiny", (("tiny.gguf", 8, 1),), "engine 1", 4096)
PROMPT = array("I", range(100, 800))
IMAGE = 1 << 31 | 7
"""A number that stands for an image."""


def state(tokens: "array[int]", *, prefixed: bool = True, rest: bytes = b"state" * 100) -> bytes:
    """A file as llama.cpp writes it, in a newer version or in an older one."""
    ids = array("i", (-1 if token == IMAGE else token for token in tokens))
    if prefixed:
        ids = array("i", [-1, 1, len(ids)]) + ids + array("i", [0])
    return b"qsgg" + array("i", [4, len(ids)]).tobytes() + ids.tobytes() + rest


def save(folder: CacheFolder, name: str, tokens: "array[int]", **options: bool) -> SavedPrompt | None:
    (folder.path / f"{name}.new").write_bytes(state(tokens, **options))
    return folder.finish(name, tokens, len(tokens))


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    opened = CacheFolder(tmp_path / "cache", 1 << 20, KEY)
    assert opened.open() == []
    return opened


def reopened(folder: CacheFolder, key: CacheKey = KEY) -> tuple[CacheFolder, list[SavedPrompt]]:
    """The folder as the next process finds it."""
    again = CacheFolder(folder.root, folder.limit, key)
    return again, again.open()


@pytest.mark.parametrize("prefixed", [True, False])
def test_a_saved_prompt_is_found_by_the_next_process(folder: CacheFolder, prefixed: bool) -> None:
    save(folder, "one", PROMPT, prefixed=prefixed)
    again, (found,) = reopened(folder)
    assert (found.name, found.tokens) == ("one", PROMPT)
    assert again.check(found)


def test_the_answer_is_saved_with_the_prompt_and_a_cancelled_prompt_as_far_as_it_was_read(folder: CacheFolder) -> None:
    (folder.path / "one.new").write_bytes(state(PROMPT))
    saved = folder.finish("one", PROMPT[:500], len(PROMPT))
    assert saved is not None
    assert saved.tokens == PROMPT
    (folder.path / "two.new").write_bytes(state(PROMPT[:300]))
    saved = folder.finish("two", PROMPT, 300)
    assert saved is not None
    assert saved.tokens == PROMPT[:300]


def test_images_keep_the_numbers_that_stand_for_them(folder: CacheFolder) -> None:
    sent = PROMPT + array("I", [IMAGE] * 4) + PROMPT
    saved = save(folder, "one", sent)
    assert saved is not None
    assert saved.tokens == sent
    (folder.path / "two.new").write_bytes(state(sent))
    assert folder.finish("two", PROMPT + PROMPT, len(sent)) is None, "which image it is, is not known"


def test_files_and_folders_are_private(folder: CacheFolder) -> None:
    (folder.path / "one.new").touch(mode=0o644)
    save(folder, "one", PROMPT)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.root.rglob("*")}
    assert modes == {folder.path.name: 0o700, "model.json": 0o600, "one.state": 0o600, "one.prompt": 0o600}
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "other",
    [
        CacheKey("tiny", (("tiny.gguf", 9, 1),), "engine 1", 4096),
        CacheKey("tiny", (("tiny.gguf", 8, 2),), "engine 1", 4096),
        CacheKey("tiny", (("tiny.gguf", 8, 1), ("mmproj.gguf", 8, 1)), "engine 1", 4096),
        CacheKey("tiny", (("tiny.gguf", 8, 1),), "engine 2", 4096),
        CacheKey("tiny", (("tiny.gguf", 8, 1),), "engine 1", 8192),
        CacheKey("tiny", (("tiny.gguf", 8, 1),), "engine 1", 4096, "a digest"),
    ],
    ids=["size", "time", "projector", "engine", "context", "settings"],
)
def test_another_model_engine_or_context_has_other_files(folder: CacheFolder, other: CacheKey) -> None:
    save(folder, "one", PROMPT)
    assert reopened(folder, other)[1] == []
    assert len(reopened(folder)[1]) == 1


BREAKAGES: dict[str, Callable[[Path, Path], object]] = {
    "truncated": lambda kept, _: os.truncate(kept, 100),
    "empty": lambda kept, _: kept.write_bytes(b""),
    "one bit": lambda kept, _: kept.write_bytes(kept.read_bytes()[:-1] + b"f"),
    "foreign": lambda kept, _: kept.write_bytes(b"x" * kept.stat().st_size),
    "no tokens": lambda _, prompt: prompt.unlink(),
    "foreign tokens": lambda _, prompt: prompt.write_bytes(b"\xc1 nonsense"),
    "empty tokens": lambda _, prompt: prompt.write_bytes(b""),
    "truncated tokens": lambda _, prompt: os.truncate(prompt, 50),
    "a folder": lambda kept, _: kept.rename(kept.with_name("elsewhere")).with_name("one.state").mkdir(),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_file_is_removed_and_never_restored(folder: CacheFolder, breakage: str) -> None:
    save(folder, "one", PROMPT)
    save(folder, "two", PROMPT)
    BREAKAGES[breakage](folder.path / "one.state", folder.path / "one.prompt")
    again, found = reopened(folder)
    assert [prompt.name for prompt in found if again.check(prompt)] == ["two"]
    again, found = reopened(folder)
    assert [prompt.name for prompt in found] == ["two"]


def test_a_file_that_breaks_while_the_server_runs_is_removed(folder: CacheFolder) -> None:
    saved = save(folder, "one", PROMPT)
    assert saved is not None
    assert folder.check(saved)
    os.truncate(folder.path / "one.state", 100)
    assert not folder.check(saved)
    assert {path.name for path in folder.path.iterdir()} == {"model.json"}


@pytest.mark.parametrize("written", [b"", b"short", b"qsgg" + b"\xff" * 2000, state(PROMPT[:100])])
def test_what_llama_cpp_did_not_write_as_expected_is_not_kept(folder: CacheFolder, written: bytes) -> None:
    (folder.path / "one.new").write_bytes(written)
    assert folder.finish("one", PROMPT, len(PROMPT)) is None
    assert list(stored_files(folder.root)) == []


def test_the_files_used_least_recently_go_first() -> None:
    one, two, three = (StoredFile(Path(str(day)), 100, used=day) for day in (1, 2, 3))
    assert excess([three, one, two], 300) == []
    assert excess([three, one, two], 299) == [one]
    assert excess([three, one, two], 100) == [one, two]
    assert excess([three, one, two], 0) == [one, two, three]


def test_the_limit_holds_for_all_models_together_and_use_keeps_a_file(folder: CacheFolder) -> None:
    used, unused = save(folder, "used", PROMPT), save(folder, "unused", PROMPT)
    assert used
    assert unused
    other, _ = reopened(folder, CacheKey("other", (), "engine 1", 4096))
    save(other, "new", PROMPT)
    for age, path in enumerate([folder.path / "used.state", folder.path / "unused.state"], 1):
        os.utime(path, (age, age))
    assert folder.check(used)
    other.limit = 2 * (other.path / "new.state").stat().st_size
    assert other.prune() == {"new"}
    assert folder.prune() == {"used"}


def test_a_full_disk_leaves_half_of_its_space_free(folder: CacheFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save(folder, "one", PROMPT)
    size = (folder.path / "one.state").stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, size))
    assert folder.make_room(size // 2)
    assert not folder.make_room(size // 2 + 1)
    assert folder.prune() == {"one"}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, size - 2))
    assert folder.prune() == set()


def test_what_a_writer_left_that_died_is_removed_later(folder: CacheFolder) -> None:
    left = [folder.path / "one.new", folder.path / "two.prompt", folder.path / "model.json.new"]
    for path in left:
        path.touch()
    folder.prune()
    assert all(path.exists() for path in left), "their writer may be at work"
    for path in left:
        os.utime(path, (1, 1))
    folder.prune()
    assert [path.name for path in folder.path.iterdir()] == ["model.json"]


def test_a_file_that_another_process_has_removed_is_not_broken(folder: CacheFolder, caplog: pytest.LogCaptureFixture) -> None:
    saved = save(folder, "one", PROMPT)
    assert saved is not None
    assert len(clear(folder.root)) == 1
    assert not folder.check(saved)
    assert caplog.text == ""


def test_the_folder_is_made_again_if_another_process_has_removed_it(folder: CacheFolder) -> None:
    for remove in (clear, shutil.rmtree):
        remove(folder.root)
        assert folder.make_room(0)
        assert save(folder, "one", PROMPT) is not None
        assert [prompt.name for prompt in reopened(folder)[1]] == ["one"]
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_servers_may_open_the_folder_at_the_same_time(folder: CacheFolder) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: reopened(folder), range(100)))
    assert [path.name for path in folder.path.iterdir()] == ["model.json"]
    assert read_key(folder.path) == KEY


def test_a_time_that_is_still_to_come_counts_as_long_ago(folder: CacheFolder) -> None:
    """The clock was ahead when that file was written, and what is used now must not seem older for years."""
    for name in ("old", "wrong", "new"):
        save(folder, name, PROMPT)
    now = time.time()
    for name, used in {"old": now - 60, "wrong": now + 10**8, "new": now + 1}.items():
        os.utime(folder.path / f"{name}.state", (used, used))
    (*_, newest) = reopened(folder)[1]
    assert newest.name == "new"
    folder.limit = 2 * (folder.path / "new.state").stat().st_size
    assert folder.prune() == {"old", "new"}

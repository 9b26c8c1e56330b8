import struct
from pathlib import Path

from dragoman.engines.gguf import trained_window

STRING, ARRAY, UINT32, FLOAT = 8, 9, 4, 6


def test_the_window_is_read_from_a_real_file(model: Path):
    assert trained_window(model) == 8192


def test_values_of_all_kinds_are_skipped(tmp_path: Path):
    pairs = [
        string("general.architecture") + kind(STRING) + string("toy"),
        string("some.floats") + kind(ARRAY) + kind(FLOAT) + struct.pack("<Q3f", 3, 1, 2, 3),
        string("some.words") + kind(ARRAY) + kind(STRING) + struct.pack("<Q", 2) + string("a") + string("bc"),
        string("some.number") + kind(FLOAT) + struct.pack("<f", 0.5),
        string("toy.context_length") + kind(UINT32) + struct.pack("<I", 4096),
    ]
    assert trained_window(gguf(tmp_path, pairs)) == 4096


def test_a_file_that_does_not_say_has_no_window(tmp_path: Path):
    assert trained_window(gguf(tmp_path, [string("a") + kind(UINT32) + struct.pack("<I", 1)])) is None


def test_a_header_cut_anywhere_has_no_window(tmp_path: Path, model: Path):
    with model.open("rb") as file:
        head = file.read(2000)
    end = head.index(b".context_length") + len(b".context_length") + 8
    path = tmp_path / "cut.gguf"
    for length in range(end):
        path.write_bytes(head[:length])
        assert trained_window(path) is None
    assert trained_window(tmp_path / "missing.gguf") is None


def test_absurd_lengths_take_no_memory(tmp_path: Path):
    assert trained_window(gguf(tmp_path, [struct.pack("<Q", 1 << 62)])) is None
    assert trained_window(gguf(tmp_path, [string("a") + kind(STRING) + struct.pack("<Q", 1 << 63)])) is None
    assert trained_window(gguf(tmp_path, [string("a") + kind(ARRAY) + kind(ARRAY) + struct.pack("<Q", 1 << 60)])) is None


def gguf(folder: Path, pairs: list[bytes]) -> Path:
    path = folder / "toy.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
    return path


def kind(number: int) -> bytes:
    return struct.pack("<I", number)


def string(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()

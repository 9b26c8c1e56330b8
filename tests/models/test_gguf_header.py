import struct
from pathlib import Path

from dragoman.models.gguf_header import Tokenizer, tokenizer, trained_window

STRING, ARRAY, UINT32, INT32, FLOAT = 8, 9, 4, 5, 6


def test_the_context_length_is_read_from_a_real_file(model: Path) -> None:
    assert trained_window(model) == 8192


def test_values_of_all_kinds_are_skipped(tmp_path: Path) -> None:
    pairs = [
        string("general.architecture") + kind(STRING) + string("toy"),
        string("some.floats") + kind(ARRAY) + kind(FLOAT) + struct.pack("<Q3f", 3, 1, 2, 3),
        string("some.words") + kind(ARRAY) + kind(STRING) + struct.pack("<Q", 2) + string("a") + string("bc"),
        string("some.number") + kind(FLOAT) + struct.pack("<f", 0.5),
        string("toy.context_length") + kind(UINT32) + struct.pack("<I", 4096),
    ]
    assert trained_window(gguf(tmp_path, pairs)) == 4096


def test_a_file_without_the_key_has_no_context_length(tmp_path: Path) -> None:
    assert trained_window(gguf(tmp_path, [string("a") + kind(UINT32) + struct.pack("<I", 1)])) is None


def test_a_truncated_header_has_no_context_length(tmp_path: Path, model: Path) -> None:
    with model.open("rb") as file:
        head = file.read(2000)
    end = head.index(b".context_length") + len(b".context_length") + 8
    path = tmp_path / "cut.gguf"
    for length in range(end):
        path.write_bytes(head[:length])
        assert trained_window(path) is None
    assert trained_window(tmp_path / "missing.gguf") is None


def test_absurd_lengths_allocate_no_memory(tmp_path: Path) -> None:
    assert trained_window(gguf(tmp_path, [struct.pack("<Q", 1 << 62)])) is None
    assert trained_window(gguf(tmp_path, [string("a") + kind(STRING) + struct.pack("<Q", 1 << 63)])) is None
    assert trained_window(gguf(tmp_path, [string("a") + kind(ARRAY) + kind(ARRAY) + struct.pack("<Q", 1 << 60)])) is None


def test_the_tokenizer_is_read_from_a_real_file(model: Path) -> None:
    found = tokenizer(model)
    assert found.chat_template is not None
    assert "<|im_start|>" in found.chat_template
    assert (found.bos_token, found.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert {"<|im_start|>", "<|endoftext|>"} < found.special_tokens
    assert "the" not in found.special_tokens


def test_the_tokenizer_is_read_from_its_keys(tmp_path: Path) -> None:
    words = [string(word) for word in ("a", "<s>", "</s>", "<tool>")]
    pairs = [
        string("tokenizer.ggml.tokens") + kind(ARRAY) + kind(STRING) + struct.pack("<Q", 4) + b"".join(words),
        string("tokenizer.ggml.token_type") + kind(ARRAY) + kind(INT32) + struct.pack("<Q4i", 4, 1, 3, 3, 4),
        string("tokenizer.ggml.eos_token_id") + kind(UINT32) + struct.pack("<I", 2),
        string("general.name") + kind(STRING) + string("toy"),
        string("tokenizer.chat_template") + kind(STRING) + string("{{ messages }}"),
    ]
    assert tokenizer(gguf(tmp_path, pairs)) == Tokenizer("{{ messages }}", "", "</s>", frozenset({"<s>", "</s>", "<tool>"}))
    assert tokenizer(gguf(tmp_path, pairs[3:4])) == Tokenizer()


def test_a_broken_header_has_no_tokenizer(tmp_path: Path) -> None:
    absurd = string("tokenizer.chat_template") + kind(STRING) + struct.pack("<Q", 1 << 62)
    assert tokenizer(gguf(tmp_path, [absurd])) == Tokenizer()
    assert tokenizer(gguf(tmp_path, [absurd[:-3]])) == Tokenizer()
    assert tokenizer(tmp_path / "missing.gguf") == Tokenizer()


def gguf(folder: Path, pairs: list[bytes]) -> Path:
    path = folder / "toy.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
    return path


def kind(number: int) -> bytes:
    return struct.pack("<I", number)


def string(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()

import struct
from pathlib import Path

import pytest

from dragoman.models.gguf_header import Tokenizer, cache_bytes, tokenizer, trained_window

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


def test_the_cache_size_of_a_token_is_read_from_a_real_file(model: Path) -> None:
    assert cache_bytes(model) == 30 * 3 * (64 + 64) * 2  # layers, heads, a key and a value, two bytes each


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"block_count": 4, "embedding_length": 64, "attention.head_count": 8}, 4 * 8 * (8 + 8) * 2),
        ({"block_count": 4, "embedding_length": 64, "attention.head_count": 8, "attention.head_count_kv": 2}, 4 * 2 * 16 * 2),
        (
            {"block_count": 3, "embedding_length": 64, "attention.head_count": 8, "attention.head_count_kv": [0, 2, 1]},
            3 * 16 * 2,
        ),
        (
            {
                "block_count": 1,
                "embedding_length": 64,
                "attention.head_count": 8,
                "attention.key_length": 192,
                "attention.value_length": 128,
            },
            8 * 320 * 2,
        ),
        ({"block_count": 4, "embedding_length": 64}, None),
        ({"block_count": 4, "embedding_length": 64, "attention.head_count": 0}, None),
    ],
)
def test_the_cache_size_of_a_token_follows_from_the_shape(
    tmp_path: Path, shape: dict[str, int | list[int]], expected: int | None
) -> None:
    pairs = [string(f"toy.{name}") + number(value) for name, value in shape.items()]
    assert cache_bytes(gguf(tmp_path, pairs)) == expected


def number(value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return kind(UINT32) + struct.pack("<I", value)
    return kind(ARRAY) + kind(INT32) + struct.pack(f"<Q{len(value)}i", len(value), *value)


def gguf(folder: Path, pairs: list[bytes]) -> Path:
    path = folder / "toy.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
    return path


def kind(number: int) -> bytes:
    return struct.pack("<I", number)


def string(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()

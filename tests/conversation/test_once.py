"""What is computed of a value is kept with it."""

import pickle

import msgspec

from dragoman.conversation import Image, Text
from dragoman.conversation.once import once


def test_a_function_of_a_value_is_computed_once_for_each_value() -> None:
    asked: list[object] = []

    @once
    def length(value: Text) -> int:
        asked.append(value)
        return len(value.text)

    one, other = Text("one"), Text("other")
    assert [length(one), length(other), length(one)] == [3, 5, 3]
    assert asked == [one, other]


def test_it_is_computed_each_time_for_a_value_that_keeps_nothing() -> None:
    asked: list[object] = []

    @once
    def size(image: Image) -> int:
        asked.append(image)
        return len(image.data)

    image = Image(b"xx", "image/png", "x")
    assert [size(image), size(image)] == [2, 2]
    assert len(asked) == 2


def test_what_is_kept_is_in_no_copy_and_no_encoding_of_the_value() -> None:
    value = Text("one")
    assert once(repr)(value)
    assert pickle.loads(pickle.dumps(value)).__dict__ == {"text": "one"}
    assert value == Text("one")
    assert msgspec.json.encode(value) == b'{"text":"one"}'

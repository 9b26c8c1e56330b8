"""Broken and hostile PDFs, made from whole ones at random: cut off, damaged, with other numbers and references, with bombs."""

import random
import re
import zlib
from collections.abc import Callable, Iterator

from . import pdf_files as files

_NUMBER = re.compile(rb"(?<![\w.])\d+(?![\w.])")
_REFERENCE = re.compile(rb"\d+ 0 R")
_NAME = re.compile(rb"/[A-Z]\w*")
_NUMBERS = (b"0", b"-1", b"1e30", b"65536", b"2147483647", b"4294967296", b"99999999999999999999", b"nan")


def _whole_files() -> list[bytes]:
    shown = files.stream(b"BT /F 12 Tf 2 8 Td (Ada) Tj ET", b"/Type/XObject/Subtype/Form/BBox[0 0 180 25]")
    field = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada)/Rect[120 690 300 715]/AP<</N 5 0 R>>/F 4>>"
    form = files.pdf([files.lines(b"Name:")], field, shown, page=b"/Annots[4 0 R]", catalog=b"/AcroForm<</Fields[4 0 R]>>")
    mapped = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 4 0 R>>"
    return [
        files.text_pdf(b"Hello\nWorld", b"", b"It rained."),
        files.scan(20, 30, bytes(range(200)) * 9),
        files.encrypted(b"Hello", b""),
        files.encrypted(b"Hello", b"secret"),
        files.pdf([files.compressed(b"BT /F 12 Tf 72 700 Td (AB) Tj ET")], files.to_unicode(A="a", B="\u05d5"), font=mapped),
        form,
    ]


def _cut(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data))]


def _without_a_part(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data))
    return data[:start] + data[start + choose.randrange(1, 200) :]


def _with_other_bytes(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 5, 50))):
        changed[choose.randrange(len(changed))] = choose.randrange(256)
    return bytes(changed)


def _twice(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data))
    return data[:start] + data[start : start + choose.randrange(1, 400)] * 2 + data[start:]


def _replacing(
    pattern: re.Pattern[bytes], by: Callable[[bytes, random.Random], bytes]
) -> Callable[[bytes, random.Random], bytes]:
    def replace_one(data: bytes, choose: random.Random) -> bytes:
        places = [match.span() for match in pattern.finditer(data)]
        if not places:
            return data
        start, end = choose.choice(places)
        return data[:start] + by(data, choose) + data[end:]

    return replace_one


def _reference(data: bytes, choose: random.Random) -> bytes:
    return b"%d 0 R" % choose.randrange(data.count(b" 0 obj") + 2)


_CHANGES = (
    _cut,
    _without_a_part,
    _with_other_bytes,
    _twice,
    _replacing(_NUMBER, lambda _, choose: choose.choice(_NUMBERS)),
    _replacing(_REFERENCE, _reference),
    _replacing(_NAME, lambda data, choose: choose.choice(_NAME.findall(data))),
)


def damaged(seed: int) -> Iterator[bytes]:
    """Files with one to three damages, without end."""
    choose = random.Random(seed)
    whole = _whole_files()
    while True:
        data = choose.choice(whole)
        for _ in range(choose.randrange(1, 4)):
            data = choose.choice(_CHANGES)(data, choose) or b"%PDF-"
        yield data


def bombs() -> Iterator[bytes]:
    """Small files that cost a reader much time or memory."""
    forms = [
        files.stream(
            b"/I Do " * 10 if level < 9 else b"BT /F 1 Tf (x) Tj ET",
            b"/Type/XObject/Subtype/Form/BBox[0 0 600 700]/Resources<</Font<</F 3 0 R>>/XObject<</I %d 0 R>>>>" % (level + 5),
        )
        for level in range(10)
    ]
    twice = zlib.compress(zlib.compress(b"0 " * (1 << 26), 9), 9)
    tiles = b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep 0.001/YStep 0.001/Resources<<>>"
    yield files.pdf([files.stream(b"/I Do")], *forms, resources=b"/XObject<</I 4 0 R>>")
    yield files.pdf([files.stream(twice, b"/Filter[/FlateDecode/FlateDecode]")])
    yield files.pdf([files.compressed(b"BT /F 1 Tf " + b"(aaaaaaaaaa) Tj " * 1_000_000 + b"ET")])
    yield files.pdf([files.compressed(b"0 0 600 700 re f " * 1_000_000)])
    yield files.pdf(
        [files.stream(b"/Pattern cs /P scn 0 0 612 792 re f")],
        files.stream(b"0 0 1 1 re f", tiles),
        resources=b"/Pattern<</P 4 0 R>>",
    )
    yield files.scan(20_000, 20_000, bytes(1 << 26))
    yield files.pdf([b"null"] * 10_000)

"""Writes PDFs for tests: object by object, so that any of them can be wrong."""

import hashlib
import zlib
from collections.abc import Sequence

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_FILE_ID = b"0123456789abcdef"


def file_of(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1; the first is the catalog."""
    data, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(data)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (entries, len(data), data)


def compressed(data: bytes, entries: bytes = b"") -> bytes:
    """A compressed stream object."""
    return stream(zlib.compress(data, 9), b"/Filter/FlateDecode" + entries)


def pdf(
    contents: Sequence[bytes],
    *others: bytes,
    font: bytes = FONT,
    box: bytes = b"0 0 612 792",
    page: bytes = b"",
    resources: bytes = b"",
    catalog: bytes = b"",
    trailer: bytes = b"",
) -> bytes:
    """A file with a page for each content stream, given as its object.

    Objects 1, 2 and 3 are the catalog, the page tree and the font `/F`; then come `others` from object 4 on, and the pages.
    """
    first = 4 + len(others)
    kids = b" ".join(b"%d 0 R" % (first + 2 * index) for index in range(len(contents)))
    objects = [b"<</Type/Catalog/Pages 2 0 R%b>>" % catalog, b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(contents), kids), font]
    objects += others
    for index, content in enumerate(contents):
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[%b]/Contents %d 0 R/Resources<</Font<</F 3 0 R>>%b>>%b>>"
            % (box, first + 2 * index + 1, resources, page),
            content,
        ]
    return file_of(objects, trailer)


def lines(*text: bytes) -> bytes:
    """A content stream that writes these lines. A parenthesis or a backslash in them needs a backslash before it."""
    return stream(b"BT /F 12 Tf 72 700 Td " + b" 0 -14 Td ".join(b"(%b) Tj" % line for line in text) + b" ET")


def text_pdf(*pages: bytes) -> bytes:
    """A file with a page for each text, empty ones included."""
    return pdf([lines(*text.split(b"\n")) if text else stream(b"") for text in pages])


def image(width: int, height: int, data: bytes, entries: bytes = b"/ColorSpace/DeviceRGB") -> bytes:
    """An image object with 8 bits per component."""
    head = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8" % (width, height)
    return compressed(data, head + entries)


def scan(width: int, height: int, pixels: bytes) -> bytes:
    """A file whose only page is one picture."""
    return pdf([stream(b"q 612 0 0 792 0 0 cm /I Do Q")], image(width, height, pixels), resources=b"/XObject<</I 4 0 R>>")


def to_unicode(**codes: str) -> bytes:
    """A stream that says which text each character of a font is."""
    pairs = b"".join(b"<%02x> <%b> " % (ord(code), text.encode("utf-16-be").hex().encode()) for code, text in codes.items())
    head = b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange "
    return stream(head + b"%d beginbfchar %bendbfchar endcmap" % (len(codes), pairs))


def encrypted(text: bytes, user_password: bytes) -> bytes:
    """A file with one page, encrypted by RC4 with 40 bits; without a user password every reader opens it."""
    owner = _rc4(hashlib.md5(_padded(b"owner")).digest()[:5], _padded(user_password))
    permissions = -44
    seed = _padded(user_password) + owner + permissions.to_bytes(4, "little", signed=True) + _FILE_ID
    key = hashlib.md5(seed).digest()[:5]
    entry = b"<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P %d>>" % (_hex(owner), _hex(_rc4(key, _PADDING)), permissions)
    number = 5
    content = b"BT /F 12 Tf 72 700 Td (%b) Tj ET" % text
    of_object = hashlib.md5(key + number.to_bytes(3, "little") + bytes(2)).digest()[:10]
    return pdf([stream(_rc4(of_object, content))], trailer=b"/Encrypt %b/ID[<%b><%b>]" % (entry, *[_hex(_FILE_ID)] * 2))


def _padded(password: bytes) -> bytes:
    return (password + _PADDING)[:32]


def _hex(data: bytes) -> bytes:
    return data.hex().encode()


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    out = bytearray()
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)

"""Signatures of reasoning (THK-7, THK-9).

A signature says that this text came from here, unchanged: a digest of the text under a fixed key, the same in every process,
so that a conversation survives a restart and a change of machine. It is no secret; it guards against mistakes. Where the text
itself was not shown (`display: omitted`), the signature carries it, compressed, so that it can be read back into the prompt.
"""

import base64
import hashlib
import zlib

_PREFIX = "dgm1."
_KEY = b"dragoman thinking signature"
_DIGEST_BYTES = 16


def sign(text: str, *, shown: bool) -> str:
    """The signature of a span of reasoning; with the text inside where it was not shown."""
    content = text.encode("utf-8", "surrogatepass")
    payload = _digest(content) + (b"" if shown else zlib.compress(content))
    return _PREFIX + base64.urlsafe_b64encode(payload).decode()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=_KEY).digest()


def recover(signature: str) -> str | None:
    """The text that a signature of ours carries; None where it carries none, is damaged or is somebody else's (THK-11)."""
    if not signature.startswith(_PREFIX):
        return None
    try:
        payload = base64.urlsafe_b64decode(signature[len(_PREFIX) :])
        content = zlib.decompress(payload[_DIGEST_BYTES:])
    except (ValueError, zlib.error):
        return None
    return content.decode("utf-8", "surrogatepass") if payload[:_DIGEST_BYTES] == _digest(content) else None

"""Signatures of reasoning (THK-7, THK-9).

A signature says that this text came from here, unchanged: a digest of the text under a fixed key, the same in every process,
so that a conversation survives a restart and a change of machine. It is no secret; it guards against mistakes. Where the text
itself was not shown (`display: omitted`), the signature carries it, so that it can be read back into the prompt: as it is and
not compressed, since anybody can write a signature and a small one must not unfold into a large text.
"""

import base64
import hashlib

_PREFIX = "dgm1."
_KEY = b"dragoman thinking signature"
_DIGEST_BYTES = 16


def sign(text: str, *, shown: bool) -> str:
    """The signature of a span of reasoning; with the text inside where it was not shown."""
    content = text.encode()
    payload = _digest(content) + (b"" if shown else content)
    return _PREFIX + base64.urlsafe_b64encode(payload).decode()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=_KEY).digest()


def recover(signature: str) -> str | None:
    """The text that a signature of ours carries; None where it carries none, is damaged or is somebody else's (THK-11)."""
    if not signature.startswith(_PREFIX):
        return None
    try:
        payload = base64.urlsafe_b64decode(signature[len(_PREFIX) :])
        digest, content = payload[:_DIGEST_BYTES], payload[_DIGEST_BYTES:]
        return content.decode() if content and digest == _digest(content) else None
    except ValueError:
        return None

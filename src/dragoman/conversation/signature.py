"""Signatures of reasoning (THK-7, THK-9).

A signature shows that a text is unchanged output of this server. It is a digest of the text under a fixed key, the same in
every process, so that a conversation survives a restart or a change of machine. The key is not secret: a signature detects
mistakes, not forgery. If the text was not shown (`display: omitted`), the signature contains it, so that it can be restored in
the prompt. The text is not compressed: any client can write a signature, and a small one must not expand into a large text.
"""

import base64
import hashlib

_PREFIX = "dgm1."
_KEY = b"dragoman thinking signature"
_DIGEST_BYTES = 16


def sign(text: str, *, shown: bool) -> str:
    """The signature of a span of reasoning. It contains the text unless the text was `shown`."""
    content = text.encode()
    payload = _digest(content) + (b"" if shown else content)
    return _PREFIX + base64.urlsafe_b64encode(payload).decode()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=_KEY).digest()


def recover(signature: str) -> str | None:
    """The text in one of our signatures; None if it contains no text, is damaged, or is not ours (THK-11)."""
    if not signature.startswith(_PREFIX):
        return None
    try:
        payload = _decoded(signature[len(_PREFIX) :])
        digest, content = payload[:_DIGEST_BYTES], payload[_DIGEST_BYTES:]
        return content.decode() if content and digest == _digest(content) else None
    except ValueError:
        return None


def _decoded(text: str) -> bytes:
    """The bytes of base64 as it is written here, and in no other spelling. Raises `ValueError`."""
    payload = base64.urlsafe_b64decode(text)
    if base64.urlsafe_b64encode(payload).decode() != text:
        raise ValueError("not the base64 of these bytes")
    return payload

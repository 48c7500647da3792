"""Signatures of links in mails: which texts were written with a key of ours. Pure."""

import base64
import hashlib
import hmac

_SIGNED_BYTES = 24
SHORTEST_KEY = 16


def signature(purpose: str, text: str, key: bytes) -> str:
    """The signature of a text: 192 bits of HMAC-SHA256, which hold for this purpose alone."""
    signed = hmac.new(key, f"ringfence {purpose} 1\n{text}".encode(), hashlib.sha256)
    return coded(signed.digest()[:_SIGNED_BYTES])


def is_signature(presented: str, purpose: str, text: str, key: bytes) -> bool:
    """Whether `presented` is the signature of the text, compared in constant time."""
    expected = signature(purpose, text, key)
    return hmac.compare_digest(expected.encode(), presented.encode("utf-8", "replace"))


def coded(raw: bytes) -> str:
    """Bytes as letters, digits, `-` and `_`."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """The bytes that were `coded`. Raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""Authenticates posts by HTTP Basic or Digest, with one user and password for each server.

FreeSWITCH's modules send `cred` by Basic, or by Digest with `auth-scheme` set to `digest`; then
curl sends a first request without credentials and answers the challenge. Digest is RFC 7616 with
`qop=auth`, and SHA-256 or MD5 (older versions of curl support only MD5). A nonce is valid for
30 s, and each count of a nonce for one request.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

NONCE_LIFE_S = 30
_USES_REMEMBERED = 200_000
_HASHES: dict[str, Callable[[bytes], str]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
_PAIR = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_MAX_HEADER = 4096


class AuthResult(Enum):
    """The result of checking a request's credentials."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    STALE = "stale"
    """The credentials are right but the nonce has expired; the client retries by itself."""


class Guard:
    """Checks the posts of one server. Compares in constant time and stores no credentials."""

    def __init__(
        self,
        server_id: str,
        *,
        user: str,
        password: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._realm = f"ringfence {server_id}"
        self._user = user
        self._password = password
        self._monotonic = monotonic
        self._key = secrets.token_bytes(32)
        self._uses: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, authorization: str, method: str, uri: str) -> AuthResult:
        """Check a request's Authorization header; `uri` is the target as it was requested."""
        scheme, _, credentials = authorization[:_MAX_HEADER].partition(" ")
        if scheme.lower() == "basic":
            return self._check_basic(credentials)
        if scheme.lower() == "digest":
            return self._check_digest(credentials, method, uri)
        return AuthResult.REFUSED

    def challenges(self, *, stale: bool = False) -> list[str]:
        """The WWW-Authenticate headers of a 401 response, the strongest scheme first."""
        nonce, stale_mark = self._new_nonce(), ", stale=true" if stale else ""
        digests = [
            f'Digest realm="{self._realm}", qop="auth", algorithm={name}, '
            f'nonce="{nonce}"{stale_mark}'
            for name in _HASHES
        ]
        return [*digests, f'Basic realm="{self._realm}", charset="UTF-8"']

    def _check_basic(self, credentials: str) -> AuthResult:
        try:
            user, _, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return AuthResult.REFUSED
        right_user = hmac.compare_digest(user, self._user.encode())
        right_password = hmac.compare_digest(password, self._password.encode())
        return AuthResult.ADMITTED if right_user and right_password else AuthResult.REFUSED

    def _check_digest(self, credentials: str, method: str, uri: str) -> AuthResult:
        given = {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(credentials)}
        hashed = _HASHES.get(given.get("algorithm", "MD5").upper())
        if hashed is None or given.get("qop") != "auth" or given.get("uri") != uri:
            return AuthResult.REFUSED
        secret = hashed(f"{self._user}:{self._realm}:{self._password}".encode())
        request = hashed(f"{method}:{uri}".encode())
        nonce, count = given.get("nonce", ""), given.get("nc", "")
        proof = f"{secret}:{nonce}:{count}:{given.get('cnonce', '')}:auth:{request}"
        right_user = _same(given.get("username", ""), self._user)
        if not (_same(given.get("response", ""), hashed(proof.encode())) and right_user):
            return AuthResult.REFUSED
        return AuthResult.ADMITTED if self._use(nonce, count) else AuthResult.STALE

    def _new_nonce(self) -> str:
        seed = f"{self._monotonic():.0f}.{secrets.token_hex(8)}"
        return f"{seed}.{self._signature(seed)}"

    def _use(self, nonce: str, count: str) -> bool:
        """Whether we issued the nonce, it has not expired, and this count of it is unused."""
        seed, _, signature = nonce.rpartition(".")
        if not _same(signature, self._signature(seed)):
            return False
        if self._monotonic() - float(seed.partition(".")[0]) > NONCE_LIFE_S:
            return False
        if (nonce, count) in self._uses:
            return False
        self._uses[nonce, count] = None
        while len(self._uses) > _USES_REMEMBERED:
            self._uses.popitem(last=False)
        return True

    def _signature(self, seed: str) -> str:
        return hmac.new(self._key, seed.encode(), hashlib.sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())

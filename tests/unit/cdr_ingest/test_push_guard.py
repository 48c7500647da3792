"""Credentials: Basic and Digest, and how long a challenge is good for."""

import base64
import hashlib
import re

import pytest

from cdr_ingest.receiver.guard import NONCE_LIFE_S, AuthResult, Guard
from tests.support.narrow import present

PASSWORD = "pä:ss"
URI = "/cdr/pbx-1/json?uuid=1"


class Door:
    """A guard whose clock is moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.guard = Guard("pbx-1", user="switch", password=PASSWORD, monotonic=lambda: self.at)

    def nonce(self) -> str:
        return present(re.search(r'nonce="([^"]+)"', self.guard.challenges()[0]))[1]

    def digest(
        self,
        nonce: str | None = None,
        *,
        algorithm: str = "SHA-256",
        password: str = PASSWORD,
        nc: str = "00000001",
        **given: str,
    ) -> AuthResult:
        new = hashlib.md5 if algorithm == "MD5" else hashlib.sha256

        def hashed(text: str) -> str:
            return new(text.encode()).hexdigest()

        nonce = nonce or self.nonce()
        secret = hashed(f"switch:ringfence pbx-1:{password}")
        proof = hashed(f"{secret}:{nonce}:{nc}:abc:auth:{hashed(f'POST:{URI}')}")
        fields = {
            "username": "switch",
            "realm": "ringfence pbx-1",
            "nonce": nonce,
            "uri": URI,
            "response": proof,
            "cnonce": "abc",
            "algorithm": algorithm,
            **given,
        }
        quoted = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        return self.guard.check(f"Digest {quoted}, qop=auth, nc={nc}", "POST", URI)


@pytest.fixture
def door() -> Door:
    return Door()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("user", "password", "verdict"),
    [
        ("switch", "pä:ss", AuthResult.ADMITTED),
        ("switch", "pä:s", AuthResult.REFUSED),
        ("Switch", "pä:ss", AuthResult.REFUSED),
        ("switch", "", AuthResult.REFUSED),
        ("", "", AuthResult.REFUSED),
    ],
)
def test_basic(door: Door, user: str, password: str, verdict: AuthResult) -> None:
    assert door.guard.check(basic(user, password), "POST", URI) is verdict


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_digest(door: Door, algorithm: str) -> None:
    assert door.digest(algorithm=algorithm) is AuthResult.ADMITTED
    assert door.digest(algorithm=algorithm, password="wrong") is AuthResult.REFUSED


@pytest.mark.parametrize(
    "given",
    [{"username": "other"}, {"uri": "/cdr/pbx-2/json"}, {"response": ""}, {"algorithm": "NONE"}],
)
def test_a_digest_for_something_else_is_refused(door: Door, given: dict[str, str]) -> None:
    assert door.digest(**given) is AuthResult.REFUSED


def test_a_nonce_serves_one_request_for_each_count_of_it(door: Door) -> None:
    nonce = door.nonce()
    assert door.digest(nonce) is AuthResult.ADMITTED
    assert door.digest(nonce) is AuthResult.STALE
    assert door.digest(nonce, nc="00000002") is AuthResult.ADMITTED


def test_a_nonce_lapses(door: Door) -> None:
    nonce = door.nonce()
    door.at += NONCE_LIFE_S
    assert door.digest(nonce) is AuthResult.ADMITTED
    door.at += 1
    assert door.digest(nonce, nc="00000002") is AuthResult.STALE


@pytest.mark.parametrize("nonce", ["x", "999.aa.bb", "nan.aa.bb", ".."])
def test_a_nonce_of_ones_own_making_is_stale_and_nothing_else(door: Door, nonce: str) -> None:
    assert door.digest(nonce) is AuthResult.STALE


def test_another_guards_nonce_is_stale(door: Door) -> None:
    assert door.digest(Door().nonce()) is AuthResult.STALE


def test_a_challenge_names_the_best_scheme_first_and_says_when_only_the_nonce_was_old(
    door: Door,
) -> None:
    first, second, last = door.guard.challenges(stale=True)
    assert first.startswith('Digest realm="ringfence pbx-1", qop="auth", algorithm=SHA-256')
    assert "algorithm=MD5" in second
    assert "stale=true" in first
    assert last == 'Basic realm="ringfence pbx-1", charset="UTF-8"'

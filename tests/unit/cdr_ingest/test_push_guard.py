"""Authentication of posts by Basic and Digest, and the lifetime of a nonce."""

import base64
import hashlib
import re

import pytest

from cdr_ingest.receiver.guard import NONCE_LIFE_S, AuthResult, Guard
from tests.support.narrow import present

PASSWORD = "pä:ss"
URI = "/cdr/pbx-1/json?uuid=1"


class DigestClient:
    """A client of a guard whose clock the test moves."""

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
def client() -> DigestClient:
    return DigestClient()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("switch", "pä:ss", AuthResult.ADMITTED),
        ("switch", "pä:s", AuthResult.REFUSED),
        ("Switch", "pä:ss", AuthResult.REFUSED),
        ("switch", "", AuthResult.REFUSED),
        ("", "", AuthResult.REFUSED),
    ],
)
def test_basic_credentials_are_checked(
    client: DigestClient, user: str, password: str, expected: AuthResult
) -> None:
    assert client.guard.check(basic(user, password), "POST", URI) is expected


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_digest_credentials_are_checked(client: DigestClient, algorithm: str) -> None:
    assert client.digest(algorithm=algorithm) is AuthResult.ADMITTED
    assert client.digest(algorithm=algorithm, password="wrong") is AuthResult.REFUSED


@pytest.mark.parametrize(
    "given",
    [{"username": "other"}, {"uri": "/cdr/pbx-2/json"}, {"response": ""}, {"algorithm": "NONE"}],
)
def test_a_digest_for_another_request_is_refused(
    client: DigestClient, given: dict[str, str]
) -> None:
    assert client.digest(**given) is AuthResult.REFUSED


def test_each_count_of_a_nonce_is_valid_once(client: DigestClient) -> None:
    nonce = client.nonce()
    assert client.digest(nonce) is AuthResult.ADMITTED
    assert client.digest(nonce) is AuthResult.STALE
    assert client.digest(nonce, nc="00000002") is AuthResult.ADMITTED


def test_a_nonce_expires(client: DigestClient) -> None:
    nonce = client.nonce()
    client.at += NONCE_LIFE_S
    assert client.digest(nonce) is AuthResult.ADMITTED
    client.at += 1
    assert client.digest(nonce, nc="00000002") is AuthResult.STALE


@pytest.mark.parametrize("nonce", ["x", "999.aa.bb", "nan.aa.bb", ".."])
def test_a_forged_nonce_is_stale(client: DigestClient, nonce: str) -> None:
    assert client.digest(nonce) is AuthResult.STALE


def test_another_guards_nonce_is_stale(client: DigestClient) -> None:
    assert client.digest(DigestClient().nonce()) is AuthResult.STALE


def test_a_challenge_has_the_strongest_scheme_first_and_marks_a_stale_nonce(
    client: DigestClient,
) -> None:
    first, second, last = client.guard.challenges(stale=True)
    assert first.startswith('Digest realm="ringfence pbx-1", qop="auth", algorithm=SHA-256')
    assert "algorithm=MD5" in second
    assert "stale=true" in first
    assert last == 'Basic realm="ringfence pbx-1", charset="UTF-8"'

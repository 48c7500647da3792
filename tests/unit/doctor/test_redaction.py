"""Results without secrets, and as text that a database stores and a terminal shows."""

import json
from pathlib import Path

import pytest

from ringfence_doctor.check_result import CheckResult
from ringfence_doctor.redaction import MAX_CHARACTERS, passwords_of, presentable, secrets_of
from ringfence_pbx.servers import load_servers

SERVERS = """
[servers.pbx1]
kind = "fusionpbx"
url = "http://127.0.0.1:1"
api_key = { env = "TEST_A" }
way = "database"
dsn = { env = "TEST_B" }
all_tenants = true
push = { user = "freeswitch", password = { env = "TEST_C" } }

[servers.v1]
kind = "vodia"
url = "http://127.0.0.1:1"
user = "admin"
password = { env = "TEST_MISSING" }
tenants = ["a.example"]

[servers.l1]
kind = "lesnet"
url = "http://127.0.0.1:1"

[[servers.l1.links]]
url = "http://127.0.0.1:1/x"
peer = "AAAAAAAAAAAAA"
user = "u"
password = { env = "TEST_D" }
"""


def shown(message: str, *secrets: str) -> str:
    (result,) = presentable([CheckResult("pbx1", "page", "fail", message, "look")], secrets)
    return result.message


def test_a_secret_that_a_server_repeats_is_hidden() -> None:
    assert shown("your key k3y-of-mine is wrong", "k3y-of-mine") == "your key *** is wrong"


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert shown("a abcdefgh b", "abcd", "abcdefgh") == "a *** b"


def test_a_short_word_is_no_secret() -> None:
    assert shown("the api is up", "api", "") == "the api is up"


def test_subject_and_action_are_searched_too() -> None:
    (result,) = presentable([CheckResult("a SECRET", "c", "fail", "m", "SECRET")], ["SECRET"])
    assert (result.subject, result.action) == ("a ***", "***")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a\x00b", "a?b"),
        ("\x1b[2Jgone", "?[2Jgone"),
        ("one\ntwo\tthree", "one two three"),
        ("half \ud800 of a pair", "half ? of a pair"),
        ("\u202ereversed", "?reversed"),
        ("Québec – naïve", "Québec – naïve"),
    ],
)
def test_what_cannot_be_stored_or_shown_is_replaced(message: str, expected: str) -> None:
    assert shown(message) == expected
    json.dumps(shown(message)).encode()


def test_a_long_text_is_shortened() -> None:
    assert len(shown("x" * 10**6)) == MAX_CHARACTERS + 1


def test_every_secret_of_the_servers_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TEST_MISSING", raising=False)
    for name in ("A", "C", "D"):
        monkeypatch.setenv(f"TEST_{name}", f"secret-{name}")
    dsn = "postgresql://me:pa%40ss@db.example/fusionpbx"
    monkeypatch.setenv("TEST_B", dsn)
    path = tmp_path / "servers.toml"
    path.write_text(SERVERS)
    found = set(secrets_of(load_servers(path).servers))
    assert found == {"secret-A", "secret-C", "secret-D", dsn, "pa%40ss", "pa@ss"}


def test_a_password_in_the_url_of_a_server_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in "ABCD":
        monkeypatch.setenv(f"TEST_{name}", f"secret-{name}")
    path = tmp_path / "servers.toml"
    text = SERVERS.replace('url = "http://', 'url = "http://me:in-the-url@', 1)
    assert text != SERVERS
    path.write_text(text)
    assert "in-the-url" in set(secrets_of(load_servers(path).servers))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:pa%40ss@h/x", {"pa%40ss", "pa@ss"}),
        ("postgresql://h/x?user=me&password=in+query", {"in query"}),
        ("postgresql://h/x", set()),
        ("postgresql://[broken", set()),
    ],
)
def test_passwords_in_the_url_of_a_database(url: str, expected: set[str]) -> None:
    assert set(passwords_of(url)) == expected

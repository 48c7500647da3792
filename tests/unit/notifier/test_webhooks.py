"""Webhooks: their file, and the signature that receivers check."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import ValidationError

from notifier.operator.chat import open_chats
from notifier.operator.digest import due_day
from notifier.operator.settings import OperatorSettings
from notifier.operator.webhooks import read_webhooks, sign
from ringfence_contracts.errors import BadInput

SECRET = "a secret for tests, long enough"
ENVIRONMENT = {"CRM_SECRET": SECRET, "SHORT": "short"}
GOOD = """
[[webhook]]
name = "crm"
url = "https://crm.example.net/hook?token=x"
events = ["balance.*", "alarm.raised"]
secret_env = "CRM_SECRET"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "webhooks.toml"
    path.write_text(text)
    return path


def test_a_webhook_is_read_and_its_secret_is_never_shown(tmp_path: Path) -> None:
    (crm,) = read_webhooks(write(tmp_path, GOOD), ENVIRONMENT)
    assert (crm.name, crm.url) == ("crm", "https://crm.example.net/hook?token=x")
    assert crm.secret == SECRET.encode()
    assert SECRET not in repr(crm)
    wanted = ("balance.low", "balance.zero", "alarm.raised", "alarm.ended", "service.restored")
    assert [crm.wants(name) for name in wanted] == [True, True, True, False, False]


def test_a_secret_can_come_from_a_file_and_in_the_format_of_libraries(tmp_path: Path) -> None:
    raw = bytes(range(24))
    (tmp_path / "secret").write_text(f"whsec_{base64.b64encode(raw).decode()}\n")
    text = GOOD.replace('secret_env = "CRM_SECRET"', f"secret_file = '{tmp_path / 'secret'}'")
    (crm,) = read_webhooks(write(tmp_path, text), {})
    assert crm.secret == raw


@pytest.mark.parametrize(
    ("changed", "by", "said"),
    [
        ('"crm"', '""', "webhook 1: name"),
        ("https://crm", "http://crm", "https address"),
        ("https://crm", "https://user:word@crm", "without user and password"),
        ('"balance.*"', '"balances.*"', "balance.zero"),
        ('["balance.*", "alarm.raised"]', "[]", "events"),
        ('"CRM_SECRET"', '"SHORT"', "at least 16"),
        ('"CRM_SECRET"', '"NOT_SET"', "at least 16"),
        ('secret_env = "CRM_SECRET"', "", "secret_env or secret_file"),
        ("secret_env", "secret", "a table of name, url"),
        ("secret_env =", 'secret_file = "/nowhere"\n#', "a file with the secret"),
        ("[[webhook]]", "[[hook]]", "nothing but tables"),
        ("[[webhook]]", "[[webhook", "TOML"),
    ],
)
def test_an_invalid_webhook_is_rejected_with_what_is_expected(
    tmp_path: Path, changed: str, by: str, said: str
) -> None:
    with pytest.raises(BadInput) as refusal:
        read_webhooks(write(tmp_path, GOOD.replace(changed, by)), ENVIRONMENT)
    assert said in str(refusal.value)
    assert "word@" not in str(refusal.value)


def test_two_webhooks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no other webhook"):
        read_webhooks(write(tmp_path, GOOD + GOOD), ENVIRONMENT)


def test_plain_http_is_allowed_for_this_machine_only(tmp_path: Path) -> None:
    near = GOOD.replace("https://crm.example.net", "http://127.0.0.1:8000")
    assert read_webhooks(write(tmp_path, near), ENVIRONMENT)[0].url.startswith("http://127")


def test_the_signature_is_that_of_the_specification() -> None:
    """Computed by `openssl dgst -sha256 -mac HMAC` over id, time and body."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    delivery_id = UUID("11111111-2222-3333-4444-555555555555")
    at = datetime.fromtimestamp(1_614_265_330, UTC)
    headers = sign(secret, delivery_id, at, '{"test": 2432232314}')
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-id"] == str(delivery_id)
    assert headers["webhook-signature"] == "v1,djW2DIJ2hECUMq1d1K+OwS6JK8LJGcY/EAH6u1neC90="


def test_an_unknown_apprise_address_is_rejected_without_showing_it() -> None:
    with pytest.raises(BadInput) as refusal:
        open_chats(["nothing://a-secret-token"])
    assert "a-secret-token" not in str(refusal.value)
    assert "nothing://…" in str(refusal.value)


def test_chat_addresses_come_from_a_setting_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "urls").write_text("# on call\njson://127.0.0.1/b\n\n")
    monkeypatch.setenv("RINGFENCE_NOTIFIER_CHAT_URLS", "json://127.0.0.1/a")
    monkeypatch.setenv("RINGFENCE_NOTIFIER_CHAT_URLS_FILE", str(tmp_path / "urls"))
    settings = OperatorSettings()
    assert settings.chat_urls() == ["json://127.0.0.1/a", "json://127.0.0.1/b"]
    assert "127.0.0.1/a" not in repr(settings)


@pytest.mark.parametrize("value", ["7", "24:00", "07:60", "seven"])
def test_a_digest_needs_a_time_of_day(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RINGFENCE_NOTIFIER_DIGEST_AT", value)
    with pytest.raises(ValidationError, match="07:00"):
        OperatorSettings()


def test_a_digest_is_due_at_its_local_time_through_summer_and_winter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RINGFENCE_NOTIFIER_DIGEST_AT", "7:00")
    at = OperatorSettings().digest_at()
    assert at is not None

    def due(text: str) -> str | None:
        found = due_day(datetime.fromisoformat(text), at, "America/Toronto")
        return None if found is None else found[0].isoformat()

    assert due("2026-01-15T11:59:59Z") is None
    assert due("2026-01-15T12:00:00Z") == "2026-01-15"
    assert due("2026-01-15T23:59:59Z") == "2026-01-15"
    assert due("2026-01-16T00:00:00Z") is None
    assert due("2026-07-15T10:59:59Z") is None
    assert due("2026-07-15T11:00:00Z") == "2026-07-15"

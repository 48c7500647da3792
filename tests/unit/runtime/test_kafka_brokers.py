"""The settings of a secure connection to Kafka: valid combinations, and client arguments."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ringfence.kafka.agent import make_app
from ringfence.kafka.brokers import Brokers, Mechanism, client_arguments
from ringfence.settings import CommonSettings, read_settings

BOTH: dict[str, Any] = {
    "kafka_sasl_user": "rating",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_bootstrap": "kafka.example.net:9093",
}


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "kafka-password"
    file.write_text("pencil and paper\n", encoding="utf-8")
    return file


def test_without_settings_the_connection_is_plain_text() -> None:
    brokers = CommonSettings(kafka_bootstrap="kafka:9092").brokers()
    assert client_arguments(brokers) == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }
    assert client_arguments("kafka:9092") == {"bootstrap_servers": "kafka:9092"}
    assert make_app("rating", brokers).conf.broker_credentials is None


def test_tls_and_a_login_reach_every_client(password_file: Path) -> None:
    brokers = CommonSettings(kafka_sasl_password_file=password_file, **BOTH).brokers()
    arguments = client_arguments(brokers)
    context = arguments.pop("ssl_context")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert arguments == {
        "bootstrap_servers": "kafka.example.net:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "rating",
        "sasl_plain_password": "pencil and paper",
    }
    shown = make_app("rating", brokers).conf.broker_credentials
    assert (shown.protocol.value, shown.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (shown.username, shown.password) == ("rating", "pencil and paper")
    assert shown.ssl_context.check_hostname


def test_no_representation_shows_the_password(password_file: Path) -> None:
    settings = CommonSettings(kafka_sasl_password_file=password_file, **BOTH)
    for shown in (repr(settings), repr(settings.brokers()), str(settings.brokers())):
        assert "pencil" not in shown


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "RINGFENCE_KAFKA_SASL_USER"),
        ({"kafka_sasl_user": "rating"}, "RINGFENCE_KAFKA_SASL_PASSWORD_FILE"),
        (
            {**BOTH, "kafka_sasl_password_file": "/nowhere/password"},
            "RINGFENCE_KAFKA_SASL_PASSWORD_FILE: /nowhere/password cannot be read",
        ),
        ({"kafka_ca_file": "/nowhere/ca.pem"}, "RINGFENCE_KAFKA_CA_FILE"),
        (
            {"kafka_security_protocol": "SSL", "kafka_ca_file": "/nowhere/ca.pem"},
            "RINGFENCE_KAFKA_CA_FILE: /nowhere/ca.pem cannot be used",
        ),
    ],
)
def test_contradicting_settings_are_refused_with_the_variable(
    given: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        CommonSettings(**given)


def test_a_login_in_plain_text_is_refused(password_file: Path) -> None:
    with pytest.raises(ValidationError, match="RINGFENCE_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"):
        CommonSettings(kafka_sasl_user="rating", kafka_sasl_password_file=password_file)


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    with pytest.raises(ValidationError, match="is empty"):
        CommonSettings(kafka_sasl_password_file=tmp_path / "empty", **BOTH)


@pytest.mark.parametrize(
    ("bootstrap", "refused"),
    [
        ("127.0.0.1:9092", False),
        ("localhost:9092,[::1]:9093", False),
        ("127.0.0.1:9092,kafka:9092", True),
        ("10.0.0.1:9092", True),
    ],
)
def test_a_password_in_plain_text_needs_loopback(bootstrap: str, refused: bool) -> None:
    def made(mechanism: Mechanism) -> Brokers:
        return Brokers(bootstrap, "SASL_PLAINTEXT", mechanism, user="rating", password="p")

    assert made("SCRAM-SHA-256").mechanism == "SCRAM-SHA-256"
    if not refused:
        assert made("PLAIN").is_local
        return
    with pytest.raises(ValueError, match="RINGFENCE_KAFKA_SASL_MECHANISM is PLAIN"):
        made("PLAIN")


def test_a_wrong_setting_ends_a_service_with_a_plain_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(SystemExit):
        read_settings(CommonSettings)
    said = capsys.readouterr().err
    assert said.startswith("RINGFENCE_KAFKA_SECURITY_PROTOCOL is SASL_SSL, which needs a login")
    assert said.count("\n") == 1

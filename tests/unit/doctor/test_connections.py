"""The doctor's results about connections that are not encrypted or not authenticated."""

from typing import Any

import pytest

from ringfence.kafka.brokers import Brokers
from ringfence_doctor.connections import database_login, kafka_connection, postgres_connection

LOGIN: dict[str, Any] = {"user": "rating", "password": "secret-of-kafka"}


@pytest.mark.parametrize(
    ("brokers", "state", "said"),
    [
        (Brokers("kafka.example.net:9092"), "warn", "plain text to kafka.example.net:9092"),
        (Brokers("127.0.0.1:9092,10.0.0.2:9092"), "warn", "plain text"),
        (Brokers("10.0.0.2:9092", "SASL_PLAINTEXT", **LOGIN), "warn", "plain text"),
        (Brokers("10.0.0.2:9093", "SSL"), "ok", "TLS, no login"),
        (Brokers("10.0.0.2:9093", "SASL_SSL", **LOGIN), "ok", "TLS, login rating by SCRAM"),
        (Brokers("kafka:wrong"), "warn", "plain text"),
    ],
)
def test_plain_text_to_remote_brokers_is_a_warning(brokers: Brokers, state: str, said: str) -> None:
    (finding,) = kafka_connection(brokers)
    assert (finding.state, said in finding.message) == (state, True)
    assert bool(finding.action) == (state == "warn")
    assert "secret" not in finding.message + finding.action


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:9092", "localhost:9092", "[::1]:9092"])
def test_local_brokers_need_no_tls(bootstrap: str) -> None:
    assert list(kafka_connection(Brokers(bootstrap))) == []


@pytest.mark.parametrize(
    ("query", "state", "said"),
    [
        ("", "warn", "sslmode=prefer to db.example.net: plain text is possible"),
        ("?sslmode=disable", "warn", "plain text"),
        ("?sslmode=require", "warn", "certificate is not checked"),
        ("?sslmode=verify-ca", "warn", "certificate of that authority"),
        ("?sslmode=verify-full&sslrootcert=/ca.pem", "ok", "checked"),
    ],
)
def test_a_remote_database_needs_verify_full(query: str, state: str, said: str) -> None:
    dsn = f"postgresql://ringfence:secret@db.example.net:5432/ringfence{query}"
    (finding,) = postgres_connection(dsn)
    assert (finding.state, said in finding.message) == (state, True)
    assert "secret@" not in finding.message + finding.action


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://127.0.0.1:5432/ringfence",
        "postgresql://a:b@[::1]:5432/ringfence",
        "postgresql://a@localhost/ringfence",
        "postgresql:///ringfence?host=/run/postgresql",
        "postgresql:///ringfence",
    ],
)
def test_a_local_database_needs_no_tls(dsn: str) -> None:
    assert list(postgres_connection(dsn)) == []


def test_one_remote_host_among_several_counts() -> None:
    (finding,) = postgres_connection("postgresql://a@127.0.0.1:5432,10.0.0.3:5432/ringfence")
    assert finding.state == "warn"


def test_the_default_sslmode_applies_if_the_url_names_none() -> None:
    (finding,) = postgres_connection("postgresql://a@10.0.0.3/ringfence", "verify-full")
    assert finding.state == "ok"


def test_a_superuser_is_a_warning() -> None:
    (finding,) = database_login("postgres", superuser=True)
    assert (finding.state, "postgres is a superuser" in finding.message) == ("warn", True)
    assert list(database_login("ringfence_login", superuser=False)) == []

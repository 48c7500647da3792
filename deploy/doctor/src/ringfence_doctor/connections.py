"""Checks whether connections to broker and database are encrypted and authenticated."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from ringfence.kafka.brokers import PROTOCOL, Brokers, is_loopback
from ringfence_doctor.check_result import CheckResult

_PAGE = "docs/secure-connections.md"


def kafka_connection(brokers: Brokers) -> Iterator[CheckResult]:
    """The protection of connections to the brokers; no result if they stay on this machine."""
    if brokers.tls:
        login = f"login {brokers.user} by {brokers.mechanism}" if brokers.sasl else "no login"
        yield CheckResult("Kafka", "connection", "ok", f"TLS, {login}")
    elif not brokers.is_local:
        message = f"plain text to {brokers}: an eavesdropper can read calls and enter top-ups"
        action = f"set {PROTOCOL}=SASL_SSL and a login for each service ({_PAGE})"
        yield CheckResult("Kafka", "connection", "warn", message, action)


def postgres_connection(dsn: str, otherwise: str = "prefer") -> Iterator[CheckResult]:
    """The protection of connections to the database; no result if they stay on this machine.

    `otherwise` is the sslmode if the URL names none. The messages contain no part of the URL except
    hosts and sslmode.
    """
    parts = urlsplit(dsn)
    given = parse_qs(parts.query)
    hosts = _hosts(parts.netloc) or given.get("host", [""])[-1].split(",")
    if all(not host or host.startswith("/") or is_loopback(host) for host in hosts):
        return
    mode = given.get("sslmode", [otherwise])[-1]
    if mode == "verify-full":
        yield CheckResult("PostgreSQL", "connection", "ok", "TLS, certificate and host are checked")
        return
    message = f"sslmode={mode} to {','.join(hosts)}: {_WEAKNESS.get(mode, 'not checked')}"
    action = f"add sslmode=verify-full and sslrootcert=… to RINGFENCE_POSTGRES_DSN ({_PAGE})"
    yield CheckResult("PostgreSQL", "connection", "warn", message, action)


_WEAKNESS = {
    "disable": "passwords and the ledger travel in plain text",
    "allow": "plain text is possible",
    "prefer": "plain text is possible",
    "require": "encrypted, but the server's certificate is not checked",
    "verify-ca": "any server with a certificate of that authority is accepted",
}


def _hosts(netloc: str) -> list[str]:
    """The hosts of a URL that may name several, with or without ports."""
    places = netloc.rpartition("@")[2]
    return [_host(place) for place in places.split(",")] if places else []


def _host(place: str) -> str:
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.partition(":")[0]


def database_login(login: str, superuser: bool) -> Iterator[CheckResult]:
    """Warn of a superuser login: if it leaks, the ledger can be changed with it."""
    if superuser:
        message = f"{login} is a superuser: nothing that it does can be refused"
        action = (
            f"give each service a login of its own, which is a member of its role alone ({_PAGE})"
        )
        yield CheckResult("PostgreSQL", "login", "warn", message, action)

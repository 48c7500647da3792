"""How clients reach the brokers: addresses, TLS and login.

Every client takes a `Bootstrap`: `Brokers`, or an address alone, which means plain text without a
login.
"""

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]

PROTOCOL = "RINGFENCE_KAFKA_SECURITY_PROTOCOL"
SASL_USER = "RINGFENCE_KAFKA_SASL_USER"
PASSWORD_FILE = "RINGFENCE_KAFKA_SASL_PASSWORD_FILE"  # noqa: S105 - a variable's name
MECHANISM = "RINGFENCE_KAFKA_SASL_MECHANISM"
CA_FILE = "RINGFENCE_KAFKA_CA_FILE"
_PORT = 9092


@dataclass(frozen=True)
class Brokers:
    """The brokers' addresses (host:port,…), and how a client authenticates them and itself.

    `ca_file`: PEM certificates of the trusted authorities; None: those of the machine. Raises
    ValueError, which names the RINGFENCE_* variable, for settings that contradict each other.
    """

    bootstrap: str
    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-512"
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if self.sasl and not (self.user and self.password):
            raise ValueError(
                f"{PROTOCOL} is {self.protocol}, which needs a login:"
                f" set {SASL_USER} and {PASSWORD_FILE}"
            )
        if not self.sasl and (self.user or self.password):
            raise ValueError(
                f"{SASL_USER} and {PASSWORD_FILE} are used by SASL_SSL and SASL_PLAINTEXT alone,"
                f" and {PROTOCOL} is {self.protocol}: set SASL_SSL, or leave them out"
            )
        if not self.tls and self.ca_file is not None:
            raise ValueError(
                f"{CA_FILE} is used by SSL and SASL_SSL alone, and {PROTOCOL} is"
                f" {self.protocol}: set one of these, or leave it out"
            )
        if self.sasl and not self.tls and self.mechanism == "PLAIN" and not self.is_local:
            raise ValueError(
                f"{MECHANISM} is PLAIN, which would send the password readable"
                f" to {self.bootstrap}: set {PROTOCOL} to SASL_SSL, or a SCRAM mechanism"
            )

    def __str__(self) -> str:
        return self.bootstrap

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted, and the broker's certificate is checked."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether a client logs in."""
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def is_local(self) -> bool:
        """Whether every address is this machine's loopback."""
        return all(is_loopback(host) for host, _ in self.addresses)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each broker; port 0 if the port is not a number."""
        found = []
        for address in self.bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            if not host:
                host, port = port, str(_PORT)
            found.append((host.strip("[]"), int(port) if port.isdecimal() else 0))
        return found

    def ssl_context(self) -> ssl.SSLContext | None:
        """A context that verifies the brokers' certificates and host names; None without TLS.

        Raises ValueError if the file of authorities cannot be used.
        """
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"{CA_FILE}: {self.ca_file} cannot be used ({type(error).__name__}): expected a"
                " readable file with certificates in PEM"
            ) from None


Bootstrap = str | Brokers


def is_loopback(host: str) -> bool:
    """Whether a host is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def client_arguments(bootstrap: Bootstrap) -> dict[str, Any]:
    """The arguments by which an aiokafka producer, consumer or admin client connects."""
    if isinstance(bootstrap, str):
        return {"bootstrap_servers": bootstrap}
    return {"bootstrap_servers": bootstrap.bootstrap, **security_arguments(bootstrap)}


def security_arguments(brokers: Brokers) -> dict[str, Any]:
    """The TLS and login arguments of such a client, or of a single connection."""
    arguments: dict[str, Any] = {"security_protocol": brokers.protocol}
    if brokers.tls:
        arguments["ssl_context"] = brokers.ssl_context()
    if brokers.sasl:
        arguments["sasl_mechanism"] = brokers.mechanism
        arguments["sasl_plain_username"] = brokers.user
        arguments["sasl_plain_password"] = brokers.password
    return arguments

"""The settings of every service, from the environment; each service adds its own."""

import sys
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ringfence.kafka.brokers import Brokers, Mechanism, Protocol, client_arguments
from ringfence.mail.signatures import SHORTEST_KEY
from ringfence.postgres.refusal import refuse_unusable
from ringfence_contracts.errors import EXIT_SETTINGS, BadInput
from ringfence_contracts.expected import problem_words


class CommonSettings(BaseSettings):
    """Read from `RINGFENCE_*`; a service's own settings from `RINGFENCE_<SERVICE>_*`."""

    model_config = SettingsConfigDict(env_prefix="RINGFENCE_", extra="ignore", frozen=True)

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port,…")
    kafka_security_protocol: Protocol = Field(
        "PLAINTEXT", description="how clients speak to them: in plain text, by TLS, with a login"
    )
    kafka_sasl_mechanism: Mechanism = Field(
        "SCRAM-SHA-512", description="how a login is proven to them"
    )
    kafka_sasl_user: str = Field("", description="the login's name")
    kafka_sasl_password_file: Path | None = Field(None, description="a file with its password")
    kafka_ca_file: Path | None = Field(
        None, description="the authorities of their certificates, as PEM; none: the machine's own"
    )
    postgres_dsn: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/ringfence"), description="PostgreSQL, as a URL"
    )
    postgres_password_file: Path | None = Field(
        None, description="a file with the password of that URL's login, which then names none"
    )
    health_host: str = Field("127.0.0.1", description="where /health and /metrics are served")
    health_port: int = Field(0, description="its TCP port; 0: any free one, which is logged")
    start_wait_s: float = Field(
        300.0,
        ge=0,
        description="seconds that a service waits at its start for PostgreSQL and Kafka",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="which lines are logged, and those above"
    )
    anti_entropy_s: float = Field(
        20.0,
        gt=0,
        description="seconds between two looks for records that a reader of ours did not receive",
    )
    kept_days: int = Field(
        400,
        ge=90,
        description="days for which records of the past are kept that no balance is computed from;"
        " docs/retention.md lists them",
    )
    servers_file: Path = Field(
        Path("servers.toml"), description="PBX and provider servers, without their secrets"
    )
    unsubscribe_key: SecretStr = Field(
        SecretStr(""),
        description="key of the links to unsubscribe from mail, the same for notifier and accounts",
    )
    unsubscribe_key_file: Path | None = Field(
        None, description="a file with that key in it, instead of the key"
    )
    client_page_url: str = Field(
        "",
        description="public address of the clients' own pages, such as https://my.example.net;"
        " blank: mails have no link to them",
    )
    client_link_key: SecretStr = Field(
        SecretStr(""),
        description="key of the links to clients' own pages, the same for notifier and accounts",
    )
    client_link_key_file: Path | None = Field(
        None, description="a file with that key in it, instead of the key"
    )

    def unsubscribe_secret(self) -> bytes | None:
        """The key, from the variable or the file; None if neither is set. Raises BadInput."""
        return _key_of("unsubscribe_key", self.unsubscribe_key, self.unsubscribe_key_file)

    def client_link_secret(self) -> bytes | None:
        """The key of the links to clients' pages; None without it. Raises BadInput."""
        return _key_of("client_link_key", self.client_link_key, self.client_link_key_file)

    @field_validator("client_page_url")
    @classmethod
    def _a_public_address(cls, value: str) -> str:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.netloc and value.isascii()
        if value and (not good or any(c.isspace() or c in "<>\"'#?" for c in value)):
            raise BadInput("address", value, "an address such as https://my.example.net")
        return value.rstrip("/")

    def brokers(self) -> Brokers:
        """The brokers, with TLS and the login.

        Raises ValueError, which names the variable, for settings that contradict each other.
        """
        user, path = self.kafka_sasl_user, self.kafka_sasl_password_file
        if bool(user) != (path is not None):
            raise ValueError(
                "RINGFENCE_KAFKA_SASL_USER and RINGFENCE_KAFKA_SASL_PASSWORD_FILE go together:"
                f" {'the file' if user else 'the user'} is missing"
            )
        password = _secret_of("RINGFENCE_KAFKA_SASL_PASSWORD_FILE", path) if path else ""
        return Brokers(
            self.kafka_bootstrap,
            protocol=self.kafka_security_protocol,
            mechanism=self.kafka_sasl_mechanism,
            user=user,
            password=password,
            ca_file=self.kafka_ca_file,
        )

    @model_validator(mode="after")
    def _brokers_go_together(self) -> Self:
        """Refuse at the start settings that no client could use, such as an unreadable CA file."""
        client_arguments(self.brokers())
        return self

    @model_validator(mode="after")
    def _authorities_can_be_read(self) -> Self:
        """Refuse at the start a CA file of the database that no client could use."""
        refuse_unusable(self.postgres_dsn.get_secret_value())
        return self

    @model_validator(mode="after")
    def _password_from_file(self) -> Self:
        """Add the password to the URL here, so that it is in no environment or command line."""
        path = self.postgres_password_file
        if path is None:
            return self
        parts = urlsplit(self.postgres_dsn.get_secret_value())
        if not parts.username or parts.password:
            raise ValueError(
                "RINGFENCE_POSTGRES_PASSWORD_FILE: the URL must name a login, and no password"
            )
        password = _secret_of("RINGFENCE_POSTGRES_PASSWORD_FILE", path)
        login, _, place = parts.netloc.rpartition("@")
        whole = parts._replace(netloc=f"{login}:{quote(password, safe='')}@{place}")
        object.__setattr__(self, "postgres_dsn", SecretStr(whole.geturl()))
        return self


def _key_of(name: str, given: SecretStr, path: Path | None) -> bytes | None:
    """A key of links, from its setting or its file; None without both. Raises BadInput."""
    key = given.get_secret_value()
    if path is not None:
        try:
            key = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            expected = f"a file with the key in it ({type(error).__name__})"
            raise BadInput(f"{name}_file", str(path), expected) from None
    if (key or path is not None) and len(key) < SHORTEST_KEY:
        raise BadInput(name, f"{len(key)} characters", f"at least {SHORTEST_KEY} characters")
    return key.encode() if key else None


def _secret_of(variable: str, path: Path) -> str:
    """The content of a secret's file. Raises ValueError, which names the variable."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{variable}: {path} cannot be read ({type(error).__name__})") from None
    if not secret:
        raise ValueError(f"{variable}: {path} is empty: expected a password in it")
    return secret


S = TypeVar("S", bound=CommonSettings)


def read_settings(kind: type[S], **given: Any) -> S:
    """The settings of the environment, overridden by those `given`.

    A wrong setting ends the process with one line for each, which does not show the value: it may
    be a secret in the wrong place.
    """
    try:
        return kind(**given)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            text = problem_words(problem)
            if problem["loc"]:
                variable = "RINGFENCE_" + "_".join(str(part) for part in problem["loc"]).upper()
                text = f"{variable}: {text}"
            print(text, file=sys.stderr)  # noqa: T201 - logs need settings
        raise SystemExit(EXIT_SETTINGS) from None

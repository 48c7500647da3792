"""What every service can be told, from the environment; each service adds its own."""

import sys
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ringfence.errors import EXIT_SETTINGS, BadInput
from ringfence.unsubscribe import SHORTEST_KEY


class CommonSettings(BaseSettings):
    """Read from `RINGFENCE_*`; a service's own settings from `RINGFENCE_<SERVICE>_*`."""

    model_config = SettingsConfigDict(env_prefix="RINGFENCE_", extra="ignore", frozen=True)

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port,…")
    postgres_dsn: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/ringfence"), description="PostgreSQL, as a URL"
    )
    postgres_password_file: Path | None = Field(
        None, description="a file with the password of that URL's login, which then names none"
    )
    health_host: str = Field("127.0.0.1", description="where /health and /metrics are served")
    health_port: int = Field(0, description="its TCP port; 0: any free one, told in the log")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="which lines are logged, and those above"
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

    def unsubscribe_secret(self) -> bytes | None:
        """The key, from wherever it was given; None if it was not. Raises BadInput."""
        key, path = self.unsubscribe_key.get_secret_value(), self.unsubscribe_key_file
        if path is not None:
            try:
                key = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                expected = f"a file with the key in it ({type(error).__name__})"
                raise BadInput("unsubscribe_key_file", str(path), expected) from None
        if (key or path is not None) and len(key) < SHORTEST_KEY:
            raise BadInput(
                "unsubscribe_key", f"{len(key)} characters", f"at least {SHORTEST_KEY} characters"
            )
        return key.encode() if key else None

    @model_validator(mode="after")
    def _password_from_file(self) -> Self:
        """Put the password into the URL, so that neither environment nor command line holds it."""
        path = self.postgres_password_file
        if path is None:
            return self
        parts = urlsplit(self.postgres_dsn.get_secret_value())
        if not parts.username or parts.password:
            raise ValueError(
                "RINGFENCE_POSTGRES_PASSWORD_FILE: the URL must name a login, and no password"
            )
        try:
            password = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = type(error).__name__
            raise ValueError(
                f"RINGFENCE_POSTGRES_PASSWORD_FILE: {path} cannot be read ({reason})"
            ) from None
        login, _, place = parts.netloc.rpartition("@")
        whole = parts._replace(netloc=f"{login}:{quote(password, safe='')}@{place}")
        object.__setattr__(self, "postgres_dsn", SecretStr(whole.geturl()))
        return self


S = TypeVar("S", bound=CommonSettings)


def read_settings(kind: type[S]) -> S:
    """The settings that the environment gives; a wrong one ends the process with a plain line.

    The value is not shown: it may be a secret in the wrong place.
    """
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            text = problem["msg"].removeprefix("Value error, ")
            if problem["loc"]:
                variable = "RINGFENCE_" + "_".join(str(part) for part in problem["loc"]).upper()
                text = f"{variable}: {text}"
            print(text, file=sys.stderr)  # noqa: T201 - logs need settings
        raise SystemExit(EXIT_SETTINGS) from None

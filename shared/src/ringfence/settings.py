"""What every service can be told, from the environment; each service adds its own."""

import sys
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
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


S = TypeVar("S", bound=CommonSettings)


def read_settings(kind: type[S]) -> S:
    """The settings that the environment gives; a wrong one ends the process with a plain line.

    The value is not shown: it may be a secret in the wrong place.
    """
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            variable = "RINGFENCE_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{variable}: {problem['msg']}", file=sys.stderr)  # noqa: T201 - logs need settings
        raise SystemExit(EXIT_SETTINGS) from None

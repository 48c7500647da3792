"""What every service can be told, from the environment; each service adds its own."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommonSettings(BaseSettings):
    """Read from `RINGFENCE_*`; a service's own settings from `RINGFENCE_<SERVICE>_*`."""

    model_config = SettingsConfigDict(env_prefix="RINGFENCE_", extra="ignore", frozen=True)

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port,…")
    postgres_dsn: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/ringfence"), description="PostgreSQL, as a URL"
    )
    health_host: str = Field("127.0.0.1", description="where /health and /metrics are served")
    health_port: int = Field(0, description="its TCP port; 0: any free one, told in the log")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    servers_file: Path = Field(
        Path("servers.toml"), description="PBX and provider servers, without their secrets"
    )

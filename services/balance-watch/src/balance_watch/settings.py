"""Everything that can be set, with its default and its unit; from `RINGFENCE_*`."""

from pydantic import Field

from ringfence.settings import CommonSettings


class Settings(CommonSettings):
    """Balance-watch's settings."""

    balance_watch_batch_records: int = Field(
        5000, ge=1, le=20_000, description="records in one transaction, at most"
    )

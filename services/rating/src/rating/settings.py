"""Everything that can be set, with its default and its unit; from `RINGFENCE_*`."""

from pydantic import Field

from ringfence.settings import CommonSettings


class Settings(CommonSettings):
    """Rating's settings."""

    rating_batch_records: int = Field(
        10_000, ge=1, le=20_000, description="records in one transaction, at most"
    )
    rating_retry_unrated_s: int = Field(
        900,
        ge=0,
        description="seconds for which an unrated call is tried again by itself when an account or"
        " a tariff that it may have waited for changes; older ones wait for an operator's replay",
    )
    rating_long_call_s: int = Field(
        14_400,
        ge=0,
        description="seconds of talk beyond which a call raises the alarm long-call, once for each"
        " call; it is charged all the same; 0: never",
    )
    rating_audit_every_s: int = Field(
        300,
        ge=0,
        description="seconds between two counts of what violates an invariant, for the metric"
        " ringfence_drift, which wait while there is a backlog; 0: never counted",
    )

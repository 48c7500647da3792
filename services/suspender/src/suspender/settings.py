"""Everything that can be set, with its default and its unit; from `RINGFENCE_*`."""

from pydantic import Field

from ringfence.settings import CommonSettings


class Settings(CommonSettings):
    """The suspender's settings."""

    suspender_poll_s: float = Field(
        0.5, gt=0, description="seconds between two looks for due work (new work wakes it at once)"
    )
    suspender_told_after: int = Field(
        3, ge=1, description="failed attempts after which service.suspension-failed is published"
    )
    suspender_backoff_max_s: float = Field(
        60.0, gt=0, description="seconds between two attempts on one service, at most"
    )
    suspender_breaker_after: int = Field(
        5, ge=1, description="failures in a row after which a server is left alone for a while"
    )
    suspender_breaker_s: float = Field(
        15.0, gt=0, description="seconds for which such a server is left alone"
    )
    suspender_batch_records: int = Field(
        1000, ge=1, description="records that are decided in one transaction, at most"
    )
    suspender_brake_clients: int = Field(
        20,
        ge=0,
        description="cutting pauses when more clients than this, and than the share of"
        " suspender_brake_percent, begin a funds hold within the window; 0: never",
    )
    suspender_brake_percent: int = Field(
        10, ge=0, le=100, description="share of the live prepaid clients, see brake_clients"
    )
    suspender_brake_window_s: float = Field(
        600.0, gt=0, description="seconds within which those funds holds begin"
    )
    suspender_inventory_s: float = Field(
        3600.0, gt=0, description="seconds between two readings of all that a server has"
    )
    suspender_drift_s: float = Field(
        300.0,
        gt=0,
        description="seconds between two looks at a server for what was switched off and is on",
    )

"""The settings of cdr-ingest with their defaults and units, read from `RINGFENCE_*`."""

from pydantic import Field

from ringfence.settings import CommonSettings


class Settings(CommonSettings):
    """Settings of the service; those of one server are in the servers file."""

    cdr_ingest_batch_records: int = Field(
        500, ge=1, le=10_000, description="records published and saved together"
    )
    cdr_ingest_sweep_s: int = Field(
        600,
        ge=10,
        description="seconds within which a call is found after its end, however long it was; the"
        " shorter a call, the sooner",
    )
    cdr_ingest_lag_s: int = Field(
        300, ge=0, description="seconds that a PBX may take to write a finished call down"
    )
    cdr_ingest_window_s: int = Field(
        3600, ge=60, description="seconds of calls asked for at once when catching up"
    )
    cdr_ingest_backoff_max_s: float = Field(
        60.0, gt=0, description="seconds between two tries of a source that fails, at most"
    )
    cdr_ingest_push_host: str = Field(
        "127.0.0.1", description="where PBXs post call records; only if a server has `push`"
    )
    cdr_ingest_push_port: int = Field(
        8070, ge=0, le=65_535, description="its TCP port; 0: any free one, which is logged"
    )
    cdr_ingest_push_body_bytes: int = Field(
        1024 * 1024, ge=1024, le=3_000_000, description="bytes of one posted record, at most"
    )
    cdr_ingest_push_posts: int = Field(
        5000,
        ge=1,
        le=100_000,
        description="posts under way, at most; further ones are answered 503",
    )
    cdr_ingest_push_answer_s: float = Field(
        8.0,
        gt=0,
        le=60,
        description="seconds after which a post that is not yet safe is answered 503",
    )
    cdr_ingest_keep_calls_h: int = Field(
        48,
        ge=1,
        le=24 * 30,
        description="hours for which the bytes of published calls are kept, so that calls which"
        " rating lost are published again; some 600 bytes a call",
    )

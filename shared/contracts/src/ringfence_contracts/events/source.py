"""Sources of call records: when one can not be read, and when calls of one were missed."""

from uuid import UUID

from ringfence_contracts.events.model import Count, EventData, Id, Instant, Text


class SourceFailed(EventData):
    """`source.failed.v1`: calls can not be read from a server; nothing is lost yet.

    Told once for each outage of a lane (one tenant, or `*` for all of a server). `failed_at` is
    the first failure of it, `reason` the latest one's.
    """

    outage_id: UUID
    server_id: Id
    lane: Text
    reason: Text
    failures: Count
    failed_at: Instant
    told_at: Instant


class SourceRecovered(EventData):
    """`source.recovered.v1`: calls are read again; those of the outage are being fetched."""

    outage_id: UUID
    server_id: Id
    lane: Text
    failed_at: Instant
    recovered_at: Instant


class SourceGapFound(EventData):
    """`source.gap-found.v1`: a server lists calls that had not been ingested in their time.

    `listed` counts the calls that began within the hour from `hour` on and ended long enough ago,
    `ingested` those that had come the ordinary way. The missing ones are fetched at once.
    """

    server_id: Id
    lane: Text
    hour: Instant
    listed: Count
    ingested: Count
    missing: Count
    found_at: Instant

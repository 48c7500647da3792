"""Sources of call records: one cannot be read, is read again, or calls of it were missed."""

from uuid import UUID

from ringfence_contracts.events.model import Count, EventData, Id, Instant, Text


class SourceFailed(EventData):
    """`source.failed.v1`: calls cannot be read from a server; none is lost yet.

    Published once for each outage of a lane (one tenant, or `*` for all of a server). `failed_at`
    is its first failure, `reason` is that of the latest one.
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
    `ingested` those that had been ingested as usual. The missing ones are fetched at once.
    """

    server_id: Id
    lane: Text
    hour: Instant
    listed: Count
    ingested: Count
    missing: Count
    found_at: Instant

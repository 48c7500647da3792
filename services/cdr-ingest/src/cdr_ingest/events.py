"""Builds the events about sources. Each id follows from its cause, so a retry repeats the event."""

from ringfence_contracts.events.source import SourceFailed, SourceGapFound, SourceRecovered
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import SOURCE_FAILED, SOURCE_GAP_FOUND, SOURCE_RECOVERED


def source_failed(event: SourceFailed) -> Outgoing:
    """`source.failed.v1`, once for each outage."""
    return Outgoing(
        topic=SOURCE_FAILED,
        key=f"{event.server_id}:{event.lane}",
        value=event.to_json(),
        event_id=derive("source-failed", event.outage_id),
        time=event.told_at,
        source="cdr-ingest",
        correlation_id=str(event.outage_id),
    )


def source_recovered(event: SourceRecovered) -> Outgoing:
    """`source.recovered.v1`, once for each outage."""
    return Outgoing(
        topic=SOURCE_RECOVERED,
        key=f"{event.server_id}:{event.lane}",
        value=event.to_json(),
        event_id=derive("source-recovered", event.outage_id),
        time=event.recovered_at,
        source="cdr-ingest",
        correlation_id=str(event.outage_id),
    )


def gap_found(event: SourceGapFound) -> Outgoing:
    """`source.gap-found.v1`.

    The id contains both counts: the missing calls are fetched afterwards, so a second gap of the
    same hour has other counts and another id.
    """
    counts = (int(event.hour.timestamp()), event.listed, event.ingested)
    event_id = derive("source-gap", event.server_id, event.lane, *counts)
    return Outgoing(
        topic=SOURCE_GAP_FOUND,
        key=f"{event.server_id}:{event.lane}",
        value=event.to_json(),
        event_id=event_id,
        time=event.found_at,
        source="cdr-ingest",
        correlation_id=str(event_id),
    )

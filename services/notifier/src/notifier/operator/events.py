"""The events of webhooks: their types, and the body that is sent for each. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import BalanceLow, BalanceRestored, BalanceZero
from ringfence_contracts.events.model import EventData
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_contracts.records import Received, parse
from ringfence_contracts.topics import (
    ACCOUNTS_ALARM,
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    INGEST_ALARM,
    NOTIFIER_ALARM,
    RATING_ALARM,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
    SUSPENDER_ALARM,
    WATCH_ALARM,
)

CHANNEL_READS = (
    BALANCE_LOW,
    BALANCE_ZERO,
    BALANCE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_RESTORED,
    SERVICE_SUSPENSION_FAILED,
    RATING_ALARM,
    SUSPENDER_ALARM,
    NOTIFIER_ALARM,
    WATCH_ALARM,
    ACCOUNTS_ALARM,
    INGEST_ALARM,
)
EVENT_TYPES = (
    "alarm.ended",
    "alarm.raised",
    "balance.low",
    "balance.restored",
    "balance.zero",
    "service.restored",
    "service.suspended",
    "service.suspension-failed",
)
TEST_TYPE = "test"


class _Kind(NamedTuple):
    model: type[EventData]
    happened_at: Callable[[Any], datetime]


_KINDS: Mapping[str, _Kind] = {
    BALANCE_LOW.name: _Kind(BalanceLow, lambda data: data.occurred_at),
    BALANCE_ZERO.name: _Kind(BalanceZero, lambda data: data.occurred_at),
    BALANCE_RESTORED.name: _Kind(BalanceRestored, lambda data: data.occurred_at),
    SERVICE_SUSPENDED.name: _Kind(ServiceSuspended, lambda data: data.confirmed_at),
    SERVICE_RESTORED.name: _Kind(ServiceRestored, lambda data: data.confirmed_at),
    SERVICE_SUSPENSION_FAILED.name: _Kind(ServiceSuspensionFailed, lambda data: data.failed_at),
    RATING_ALARM.name: _Kind(Alarm, lambda data: data.ended_at or data.raised_at),
    SUSPENDER_ALARM.name: _Kind(Alarm, lambda data: data.ended_at or data.raised_at),
    NOTIFIER_ALARM.name: _Kind(Alarm, lambda data: data.ended_at or data.raised_at),
    WATCH_ALARM.name: _Kind(Alarm, lambda data: data.ended_at or data.raised_at),
    ACCOUNTS_ALARM.name: _Kind(Alarm, lambda data: data.ended_at or data.raised_at),
    INGEST_ALARM.name: _Kind(Alarm, lambda data: data.ended_at or data.raised_at),
}


@dataclass(frozen=True)
class ChannelEvent:
    """An event as receivers of webhooks get it. `type` is one of EVENT_TYPES."""

    event_id: UUID
    type: str
    occurred_at: datetime
    subject: str
    data: EventData

    @property
    def alarm(self) -> Alarm | None:
        """The alarm, if the event is about one."""
        return self.data if isinstance(self.data, Alarm) else None

    def body(self) -> str:
        """The JSON that is sent, the same at each attempt."""
        return _body(self.event_id, self.type, self.occurred_at, self.data.model_dump(mode="json"))


def read_event(received: Received) -> ChannelEvent:
    """The event of a record of CHANNEL_READS. Raises Reject."""
    kind = _KINDS[received.topic]
    data = parse(kind.model, received)
    if isinstance(data, Alarm):
        name, subject = f"alarm.{data.state}", f"{data.service}/{data.key} {data.subject}"
    else:
        name, subject = received.topic.removesuffix(".v1"), str(getattr(data, "account_id", ""))
    return ChannelEvent(received.event_id, name, kind.happened_at(data), subject, data)


def example_body(event_id: UUID, now: datetime) -> str:
    """The body of a test event."""
    return _body(event_id, TEST_TYPE, now, {"message": "This is a test of ringfence's webhooks."})


def _body(event_id: UUID, name: str, at: datetime, data: Mapping[str, Any]) -> str:
    event = {"id": str(event_id), "type": name, "time": at, "data": data}
    return orjson.dumps(event, option=orjson.OPT_UTC_Z).decode()

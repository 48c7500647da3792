"""Records as a handler receives them, and example events of a client."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from ringfence_contracts.events.account import AccountChanged, Client, Package, Profile, Service
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.model import EventData
from ringfence_contracts.ids import call_id, derive
from ringfence_contracts.records import Outgoing, Received
from ringfence_contracts.topics import BY_NAME, Topic

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def received(topic: Topic, data: EventData, event_id: UUID | None = None) -> Received:
    """`data` as a record from the broker; its id is derived from the content unless given."""
    return from_bytes(topic, data.to_json(), event_id)


def from_bytes(topic: Topic, value: bytes, event_id: UUID | None = None) -> Received:
    """Any bytes as a record from the broker."""
    found = event_id or derive("test", topic.name, value)
    return Received(
        topic=topic.name,
        partition=0,
        offset=0,
        key=b"key",
        value=value,
        headers=(("ce_id", str(found).encode()), ("ce_type", topic.name.encode())),
    )


def from_outgoing(event: Outgoing) -> Received:
    """The record that a reader of its topic receives for a published event."""
    headers = tuple(event.headers())
    return Received(event.topic.name, 0, 0, event.key.encode(), event.value, headers)


def read(event: Outgoing) -> EventData:
    """The payload of a published event, as the model of its topic."""
    return BY_NAME[event.topic.name].data.model_validate_json(event.value)


def account(
    account_id: str = "1001",
    *,
    version: int = 1,
    tenant: str = "north.example",
    extensions: tuple[str, ...] = ("2112",),
    dids: tuple[str, ...] = ("5192229000",),
    threshold_micro: int | None = 15_000_000,
    outstanding_micro: int = 0,
    currency: str = "CAD",
    profile: dict[str, object] | None = None,
    package: dict[str, object] | None = None,
    service: dict[str, object] | None = None,
    **changed: object,
) -> AccountChanged:
    """A client with one FusionPBX product; dictionaries override single fields.

    `changed` gives further fields of the event, such as `orders`, `mode` or `accepted`.
    """
    plan = Package.model_validate({"tariff_id": "north", **(package or {})})
    product = {
        "service_id": f"svc-{account_id}",
        "name": f"PBX of {account_id}",
        "kind": "fusionpbx",
        "server_id": "pbx1",
        "tenant": tenant,
        "dids": dids,
        "extensions": extensions,
        "package": plan,
        **(service or {}),
    }
    fields = {
        "has_voip_service": True,
        "low_balance_threshold": "15" if threshold_micro else "",
        "threshold_micro": threshold_micro,
        **(profile or {}),
    }
    event = {
        "account_id": account_id,
        "version": version,
        "currency": currency,
        "time_zone": "America/Toronto",
        "client": Client(first_name="Ada", last_name="North", email="ada@north.example"),
        "profile": Profile.model_validate(fields),
        "outstanding_micro": outstanding_micro,
        "services": (Service.model_validate(product),),
        "changed_at": NOON,
        **changed,
    }
    return AccountChanged.model_validate(event)


def call(number: int = 1, **fields: object) -> CallCompleted:
    """An answered outbound call of one minute; each `number` gives another call."""
    source_call_id = str(fields.pop("source_call_id", f"call-{number}"))
    server_id = str(fields.pop("server_id", "pbx1"))
    billsec = fields.pop("billsec", 60)
    started_at = fields.pop("started_at", NOON)
    assert isinstance(started_at, datetime)
    assert isinstance(billsec, int)
    return CallCompleted.model_validate(
        {
            "call_id": call_id(server_id, source_call_id),
            "server_id": server_id,
            "tenant": "north.example",
            "source": "fusionpbx-pull",
            "source_call_id": source_call_id,
            "direction": "outbound",
            "started_at": started_at,
            "answered_at": started_at if billsec else None,
            "ended_at": started_at + timedelta(seconds=max(billsec, 0)),
            "billsec": billsec,
            "destination_number": "14165550100",
            "extension": "2112",
            **fields,
        }
    )

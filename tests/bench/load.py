"""What is driven through: profiles and calls, as events, made fast and the same at every run."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ringfence_contracts.events.account import AccountChanged, Client, Package, Profile, Service
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.ids import call_id, derive
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import ACCOUNT_CHANGED, CALL_COMPLETED, Topic

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CALLS_A_SECOND = 20
"""In the calls' own time: a backlog is that of hours, and few calls share a second."""


def as_event(topic: Topic, key: str, value: bytes, event_id: UUID) -> Outgoing:
    """Bytes as an event of a topic."""
    return Outgoing(topic, key, value, event_id, NOON, "bench", "", str(event_id))


def account(deck: int, number: int) -> AccountChanged:
    """A prepaid client on its own tenant, rated by the tariff of `deck` prefixes."""
    account_id = f"d{deck}-{number}"
    package = Package(tariff_id=f"deck-{deck}", markup_percent="120", free_minutes=number % 3)
    service = Service(
        service_id=f"pbx-{account_id}",
        name=f"PBX {number}",
        kind="fusionpbx",
        server_id="bench",
        tenant=f"{account_id}.example",
        dids=(f"519{number:07d}",),
        extensions=("2112", "2113"),
        package=package,
    )
    return AccountChanged(
        account_id=account_id,
        version=1,
        currency="CAD",
        time_zone="America/Toronto",
        client=Client(first_name="Bench", email=f"{account_id}@client.example"),
        profile=Profile(has_voip_service=True, threshold_micro=15_000_000),
        services=(service,),
        changed_at=NOON,
    )


def profile_event(one: AccountChanged) -> Outgoing:
    """An account's profile as an event."""
    event_id = derive("bench", one.account_id)
    return as_event(ACCOUNT_CHANGED, one.account_id, one.to_json(), event_id)


def one_call(account_id: str, seconds: int) -> Outgoing:
    """An answered outbound call of an account's telephone, of a given length."""
    return recent_call(account_id, NOON, seconds)


def recent_call(account_id: str, started_at: datetime, seconds: int) -> Outgoing:
    """An answered outbound call of an account's telephone, at a given time."""
    tenant, chance = f"{account_id}.example", random.Random()
    call = _call(f"{account_id}-{chance.getrandbits(64)}", tenant, started_at, chance)
    ended_at = call.started_at + timedelta(seconds=seconds)
    call = call.model_copy(update={"billsec": seconds, "ended_at": ended_at})
    return as_event(CALL_COMPLETED, f"bench:{tenant}", call.to_json(), call.call_id)


def calls(run: str, accounts: Sequence[str], count: int) -> Iterator[Outgoing]:
    """Answered outbound calls of random clients to random numbers; `run` makes their ids new."""
    chance = random.Random(run)
    for number in range(count):
        source_call_id = f"{run}-{number}"
        tenant = f"{chance.choice(accounts)}.example"
        started_at = NOON + timedelta(seconds=number // CALLS_A_SECOND)
        call = _call(source_call_id, tenant, started_at, chance)
        yield as_event(CALL_COMPLETED, f"bench:{tenant}", call.to_json(), call.call_id)


def _call(
    source_call_id: str, tenant: str, started_at: datetime, chance: random.Random
) -> CallCompleted:
    billsec = chance.randrange(1, 600)
    return CallCompleted(
        call_id=call_id("bench", source_call_id),
        server_id="bench",
        tenant=tenant,
        source="fusionpbx-pull",
        source_call_id=source_call_id,
        direction="outbound",
        started_at=started_at,
        answered_at=started_at,
        ended_at=started_at + timedelta(seconds=billsec),
        billsec=billsec,
        caller_name="Bench",
        caller_number="2112",
        destination_number=f"1{chance.randrange(200, 1000)}{chance.randrange(10**7):07d}",
        extension="2112",
        status="answered",
        sip_call_id=f"{source_call_id}@203.0.113.9",
    )

"""The suspender's whole way: crossings and profiles in; the PBX switched; what it said out.

balance.zero ─────┐
balance.restored ─┼─▶ decide ─▶ wanted state ─▶ worker ─▶ PBX ─▶ read back ─▶ service.suspended
account.changed ──┘             (a row)                                       service.restored
                                                                              …suspension-failed
"""

import asyncio
from collections.abc import Sequence

from ringfence.clock import SystemClock
from ringfence.errors import Reject
from ringfence.events.account import AccountChanged
from ringfence.events.balance import BalanceRestored, BalanceZero
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.publisher import open_publisher
from ringfence.kafka.records import Outcome, Received, Rejected, parse
from ringfence.kafka.shell import Shell
from ringfence.observe.health import Health
from ringfence.pbx.servers import load_servers
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.process import run_loops
from ringfence.topics import ACCOUNT_CHANGED, BALANCE_RESTORED, BALANCE_ZERO
from suspender.settings import Settings
from suspender.store import Deciding, Known, State, SuspenderStore, Wanted
from suspender.suspension import Funds, decide_suspension
from suspender.switches import open_switches
from suspender.worker import Worker

NAME = "suspender"
READS = (BALANCE_ZERO, BALANCE_RESTORED, ACCOUNT_CHANGED)
_MODELS: dict[str, type[BalanceZero | BalanceRestored | AccountChanged]] = {
    BALANCE_ZERO.name: BalanceZero,
    BALANCE_RESTORED.name: BalanceRestored,
    ACCOUNT_CHANGED.name: AccountChanged,
}


class Suspender:
    """The handler: an event changes what is wanted of an account's services."""

    def __init__(self, *, store: SuspenderStore, woken: asyncio.Event) -> None:
        self._store = store
        self._woken = woken

    async def handle(self, batch: Sequence[Received]) -> Outcome:
        """Decide anew for each event's account. Safe to call again: older versions are dropped."""
        outcome = Outcome()
        for received in batch:
            try:
                event = parse(_MODELS[received.topic], received)
                received.event_id  # noqa: B018 - the cause of what follows; rejected without one
            except Reject as reason:
                outcome.reject.append(Rejected(received, str(reason)))
            else:
                await self._decide(event, received)
        self._woken.set()
        return outcome

    async def _decide(
        self, event: BalanceZero | BalanceRestored | AccountChanged, received: Received
    ) -> None:
        async with self._store.deciding() as deciding:
            known = await deciding.account(event.account_id)
            if not learn(known, event):
                return
            await deciding.keep(known)
            if known.profile is not None:
                await self._want(deciding, known, known.profile, received)

    async def _want(
        self, deciding: Deciding, known: Known, profile: AccountChanged, received: Received
    ) -> None:
        wanted = await deciding.wanted(known.account_id)
        await deciding.forget(known.account_id, [*wanted.keys() - _ids(profile)])
        for service in profile.services:
            before = wanted.get(service.service_id) or taken_to_be(profile)
            await deciding.meet(
                known.account_id, service.service_id, service.server_id, service.kind, before
            )
            decision = decide_suspension(
                profile.profile, funds(known, profile), prepaid=service.prepaid, state=before
            )
            if decision.wanted == "leave" or decision.wanted == before:
                continue
            await deciding.want(
                known.account_id,
                service.service_id,
                Wanted(
                    decision.wanted,
                    decision.mode,
                    received.event_id,
                    decision.zero_mail,
                    received.correlation_id,
                ),
            )


def learn(known: Known, event: BalanceZero | BalanceRestored | AccountChanged) -> bool:
    """Take in an event if it is newer than what is known; whether it was."""
    if isinstance(event, AccountChanged):
        if event.version <= known.profile_version:
            return False
        known.profile, known.profile_version = event, event.version
        return True
    if event.crossing <= known.crossing:
        return False
    known.balance_micro, known.crossing = event.balance_micro, event.crossing
    return True


def funds(known: Known, profile: AccountChanged) -> Funds | None:
    """Credit as of the last crossing, debts as of the last profile; None before any crossing.

    Credit may have moved since without a crossing, never across zero nor across the debts:
    balance-watch announces both.
    """
    if known.balance_micro is None:
        return None
    return Funds(credit_micro=known.balance_micro, outstanding_micro=profile.outstanding_micro)


def taken_to_be(profile: AccountChanged) -> State:
    """The state of a service that is met for the first time: what the profile says of it."""
    return "suspended" if profile.profile.voip_suspended == "Yes" else "active"


def _ids(profile: AccountChanged) -> set[str]:
    return {service.service_id for service in profile.services}


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Suspend and restore until told to stop."""
    dsn, bootstrap = settings.postgres_dsn.get_secret_value(), settings.kafka_bootstrap
    servers = load_servers(settings.servers_file)
    async with (
        await open_pool(dsn, service=NAME, size=6 + len(servers.servers)) as pool,
        open_publisher(bootstrap, source=NAME) as publisher,
        open_switches(servers) as switches,
    ):
        store = SuspenderStore(pool)
        worker = Worker(
            store=store,
            switches=switches,
            clock=SystemClock(),
            settings=settings,
            progress=health.loop("worker"),
        )
        agents = GuardedAgents(
            Shell(Suspender(store=store, woken=worker.woken).handle, publisher, consumer=NAME),
            READS,
            bootstrap=bootstrap,
            group=NAME,
            progress=health.loop(NAME),
        )
        relay = OutboxRelay(pool, publisher, schema="suspender", progress=health.loop("outbox"))
        await run_loops(stop, agents.run, worker.run, relay.run)

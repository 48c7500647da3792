"""The notifier's parts with one database and one SMTP server, and factories of its events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from notifier.form.layout import Layout
from notifier.form.send_now import send_now
from notifier.owed.copies import MailCopies
from notifier.owed.decision import DecisionRules
from notifier.owed.intake import MailIntake
from notifier.owed.reminders import ReminderLoop
from notifier.sending.attempts import RetryPolicy
from notifier.sending.breaker import SmtpBreaker
from notifier.sending.in_flight import MailsInFlight
from notifier.sending.loop import SendingDependencies, SendingLoop
from notifier.sending.mime import Mail, Sender
from notifier.sending.recovery import RecoveryLoop
from notifier.sending.smtp import SmtpServer
from notifier.service import renderer
from notifier.settings import Settings
from notifier.store import MailStore
from notifier.template_files import load_catalogue, load_templates
from ringfence.observe.health import Progress
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import BalanceLow, BalanceRestored, BalanceZero
from ringfence_contracts.events.model import EventData
from ringfence_contracts.events.service import ServiceRestored, ServiceSuspended
from ringfence_contracts.ids import derive
from ringfence_contracts.records import Received
from ringfence_contracts.topics import SUSPENDER_ALARM, Topic
from ringfence_testing.clock import FixedClock
from ringfence_testing.wait import until

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CAUSE = UUID(int=1)
MONEY = {
    "account_id": "1042",
    "balance_micro": 8_000_000,
    "outstanding_micro": 0,
    "currency": "CAD",
}


def account(version: int = 1, **changes: Any) -> AccountChanged:
    client = {"first_name": "Ada", "last_name": "Moreau", "email": "ada@example.net"}
    profile = {"low_balance_threshold": "15", "threshold_micro": 15_000_000}
    return AccountChanged.model_validate(
        {
            "account_id": "1042",
            "version": version,
            "currency": "CAD",
            "client": client | changes.get("client", {}),
            "profile": profile | changes.get("profile", {}),
            "services": changes.get("services", ()),
            "mode": changes.get("mode", "live"),
            "changed_at": changes.get("changed_at", NOON),
        }
    )


def crossing(number: int = 1, **changes: Any) -> dict[str, Any]:
    facts = {"crossing": number, "balance_version": number, "threshold_micro": 15_000_000}
    return MONEY | facts | {"occurred_at": NOON} | changes


def low(number: int = 1, **changes: Any) -> BalanceLow:
    return BalanceLow.model_validate(crossing(number, **changes))


def zero(number: int = 1, **changes: Any) -> BalanceZero:
    return BalanceZero.model_validate(crossing(number, balance_micro=0, reason="credit") | changes)


def risen(number: int = 2, **changes: Any) -> BalanceRestored:
    """`balance.restored`: by default the balance rose above the threshold."""
    levels = {"level_before": "low", "level": "ok", "balance_micro": 114_000_000}
    return BalanceRestored.model_validate(crossing(number) | levels | changes)


def switched(service_id: str, **changes: Any) -> dict[str, Any]:
    facts = {
        "account_id": "1042",
        "service_id": service_id,
        "server_id": "pbx-1",
        "mode": "auto",
        "cause_id": CAUSE,
        "confirmed_at": NOON,
        "evidence": "read back",
    }
    return facts | changes


def suspended(service_id: str = "s-1", **changes: Any) -> ServiceSuspended:
    return ServiceSuspended.model_validate(
        switched(service_id) | MONEY | {"balance_micro": 0, "zero_mail": True} | changes
    )


def restored(**changes: Any) -> ServiceRestored:
    return ServiceRestored.model_validate(switched("s-1", **changes))


def alarm(subject: str = "1042/s-1", state: str = "raised", **changes: Any) -> Alarm:
    """An alarm whose id is derived from its key and subject."""
    facts: dict[str, Any] = {
        "service": "suspender",
        "key": "suspension-failed",
        "severity": "critical",
        "message": f"Product {subject} could not be switched off: timed <out>",
        "what_to_do": "See why the PBX refuses; ringfence goes on trying.",
        "account_id": subject.partition("/")[0],
        "raised_at": NOON,
        "ended_at": NOON + timedelta(minutes=5) if state == "ended" else None,
    } | changes
    alarm_id = derive("alarm", facts["key"], subject, facts["raised_at"])
    return Alarm.model_validate({"alarm_id": alarm_id, "subject": subject, "state": state} | facts)


AT_ONCE = DecisionRules(low_interval_s=0)
"""Rules without a minimum interval between two alerts."""


class NotifierHarness:
    """The notifier's parts with one database; tests pass events directly."""

    def __init__(
        self,
        pool: Pool,
        port: int,
        operator_email: str = "ops@example.net",
        rules: DecisionRules = AT_ONCE,
        layout: Layout | None = None,
        **policy: Any,
    ) -> None:
        self.pool, self.port = pool, port
        self.store, self.clock, self.wake = MailStore(pool), FixedClock(NOON), asyncio.Event()
        self.breaker = SmtpBreaker()
        self.policy = RetryPolicy(**policy)
        self.rules = rules
        self.in_flight = MailsInFlight(longest_s=30)
        templates = load_templates(None)
        self.render = renderer(load_catalogue(None), layout)
        self.intake = MailIntake(
            self.store,
            render=self.render,
            templates=templates,
            rules=rules,
            operator_email=operator_email,
            layout=layout,
            clock=self.clock,
            wake=self.wake,
            tests=MailCopies(pool, render=self.render, send=self._send_now, clock=self.clock),
        )

    async def _send_now(self, mail: Mail) -> str:
        return await send_now(Settings(notifier_smtp_port=self.port), mail)

    async def handle(self, topic: Topic, data: EventData, event_id: UUID = CAUSE) -> list[str]:
        """Process one event; returns the reasons of a rejection."""
        headers = (("ce_id", str(event_id).encode()), ("ce_correlationid", b"thread-1"))
        received = Received(topic.name, 0, 0, b"1042", data.to_json(), headers)
        outcome = await self.intake.handle([received])
        assert outcome.publish == []
        return [rejected.reason for rejected in outcome.reject]

    def sending(self, data_s: float = 10, **server: Any) -> SendingLoop:
        reached: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "command_s": 5,
            "data_s": data_s,
        }
        shared = SendingDependencies(
            store=self.store,
            render=self.render,
            rules=self.rules,
            server=SmtpServer(**reached | server),
            sender=Sender("billing@example.org", "Billing"),
            breaker=self.breaker,
            policy=self.policy,
            in_flight=self.in_flight,
            clock=self.clock,
            wake=self.wake,
        )
        return SendingLoop(shared, poll_s=0.02, progress=Progress("smtp"))

    def reminders(self) -> ReminderLoop:
        return ReminderLoop(
            self.store, clock=self.clock, wake=self.wake, progress=Progress("reminders")
        )

    def recovery(self) -> RecoveryLoop:
        return RecoveryLoop(
            self.store,
            policy=self.policy,
            clock=self.clock,
            progress=Progress("recovery"),
        )

    @asynccontextmanager
    async def at_work(self, senders: int = 1, **server: Any) -> AsyncIterator[None]:
        """Run senders for the duration of the context; mails in flight are finished at its end."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self.sending(**server).run(stop)) for _ in range(senders)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def rows(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("select * from notifier.message order by created_at, subject")

    async def states(self) -> list[str]:
        return sorted(row["state"] for row in await self.rows())

    async def wait_for_states(self, *states: str) -> None:
        async def reached() -> bool:
            return await self.states() == sorted(states)

        await until(reached, what=f"messages to be {states}")

    async def events(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("select * from notifier.outbox order by id")

    async def alarm(self, subject: str = "1042/s-1", state: str = "raised", **changes: Any) -> None:
        """Process one alarm, which must be accepted."""
        data = alarm(subject, state, **changes)
        assert await self.handle(SUSPENDER_ALARM, data, derive("event", data.alarm_id, state)) == []

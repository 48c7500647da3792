"""The notifier: mails about balances that crossed a line, switched services and alarms, each once.

account.changed ──▶ who the client is, and whether live or in shadow
balance.low ──────▶ Low Balance Alert ────┐
balance.zero ─────▶ VoIP Zero Balance     │
service.suspended ▶   (waits for this) ───┼─▶ owed ─▶ still true? ─▶ SMTP ─▶ notice.sent
service.restored ─▶ VoIP Restored ────────┤            └─▶ dropped         └─▶ notice.failed
balance.restored ─▶ what is true no more  │
*.alarm ──────────▶ mail to the operator ─┘

The same crossings, services and alarms ─▶ webhooks and chat, read in a consumer group of its own.
"""

import asyncio

import structlog

from notifier.form.layout import Layout
from notifier.form.mail import MailFacts, RenderedMail, render
from notifier.operator.channels import channel_loops, digest_loops
from notifier.owed.intake import READS, Intake
from notifier.owed.reminders import ReminderLoop
from notifier.owed.truth import Rules
from notifier.sending.attempts import RetryPolicy
from notifier.sending.breaker import Breaker
from notifier.sending.in_hand import MailsInHand
from notifier.sending.letter import Sender
from notifier.sending.loop import Office, Render, SendingLoop
from notifier.sending.recovery import RecoveryLoop
from notifier.sending.smtp import SmtpServer
from notifier.settings import Settings
from notifier.store import Store
from notifier.template import warnings
from notifier.words.catalogue import Catalogue
from ringfence.clock import SystemClock
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.publisher import Publisher, make_producer
from ringfence.kafka.shell import Shell
from ringfence.needs import need_stores
from ringfence.observe.health import Health
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.process import Loop, run_loops
from ringfence_contracts.errors import BadInput

_SPARE_S = 60.0
_REMINDERS_STALL_S = 300.0
log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Run the notifier until `stop` is set. A template that is refused stops it at the start."""
    catalogue, server = _catalogue(settings), settings.smtp_server()
    dsn, size = settings.postgres_dsn.get_secret_value(), settings.notifier_smtp_connections + 4
    pool = await open_pool(dsn, service="notifier", size=size)
    brokers = settings.brokers()
    producer = make_producer(brokers)
    try:
        await producer.start()
        publisher = Publisher(producer, source="notifier")
        need_stores(health, pool, publisher)
        office = _office(settings, Store(pool), catalogue, server)
        intake = Intake(
            office.store,
            render=office.render,
            templates=catalogue.languages[catalogue.default].templates,
            rules=office.rules,
            operator_email=settings.notifier_operator_email,
            alarm_group_s=settings.notifier_alarm_group_s,
            layout=settings.layout(),
            operator_zone=settings.notifier_operator_time_zone,
            clock=office.clock,
            wake=office.wake,
        )
        agents = GuardedAgents(
            Shell(intake.handle, publisher, consumer="notifier"),
            READS,
            bootstrap=brokers,
            group="notifier",
            progress=health.loop("events"),
            before_exit=office.in_hand.finish,
        )
        relay = OutboxRelay(pool, publisher, schema="notifier", progress=health.loop("outbox"))
        loops = _loops(settings, office, health)
        loops += digest_loops(
            settings,
            pool,
            health,
            recipient=settings.notifier_operator_email,
            clock=office.clock,
            wake=office.wake,
        )
        async with channel_loops(settings, pool, publisher, health, office.clock) as channels:
            await run_loops(stop, agents.run, relay.run, *loops, *channels)
    finally:
        await producer.stop()
        await pool.close()


def _office(settings: Settings, store: Store, catalogue: Catalogue, server: SmtpServer) -> Office:
    """What the senders share, as it is set."""
    return Office(
        store=store,
        render=renderer(catalogue, settings.layout()),
        rules=Rules(settings.notifier_low_interval_s, settings.notifier_obey_s),
        server=server,
        sender=Sender(settings.notifier_sender, settings.notifier_sender_name),
        breaker=Breaker(),
        policy=RetryPolicy(
            give_up_after_s=settings.notifier_give_up_after_s,
            resend_in_doubt=settings.notifier_in_doubt == "resend",
        ),
        in_hand=MailsInHand(longest_s=server.data_s + _SPARE_S),
        clock=SystemClock(),
        wake=asyncio.Event(),
    )


def renderer(catalogue: Catalogue, layout: Layout | None = None) -> Render:
    """Puts mails to clients into the words of their language, and into the layout."""
    form = layout or Layout()

    def render_mail(facts: MailFacts) -> RenderedMail:
        return render(facts, catalogue, form)

    return render_mail


def _loops(settings: Settings, office: Office, health: Health) -> list[Loop]:
    """A sender for each connection, the recovery, and the reminders where they are set."""
    stall_s = office.server.data_s + _SPARE_S
    senders = [
        SendingLoop(
            office,
            poll_s=settings.notifier_poll_s,
            progress=health.loop(f"smtp-{number}", stall_s=stall_s),
        ).run
        for number in range(1, settings.notifier_smtp_connections + 1)
    ]
    recovery = RecoveryLoop(
        office.store, policy=office.policy, clock=office.clock, progress=health.loop("recovery")
    )
    loops: list[Loop] = [*senders, recovery.run]
    if settings.notifier_reminder == "daily":
        progress = health.loop("reminders", stall_s=_REMINDERS_STALL_S)
        reminders = ReminderLoop(
            office.store, clock=office.clock, wake=office.wake, progress=progress
        )
        loops.append(reminders.run)
    return loops


def _catalogue(settings: Settings) -> Catalogue:
    try:
        catalogue = settings.catalogue()
    except BadInput as refused:
        log.error("invalid mail template: no mail is sent until it is fixed", reason=str(refused))
        raise
    for template in catalogue.own.values():
        for warning in warnings(template):
            log.warning("a template may look odd", template=template.name, what=warning)
    return catalogue

"""The notifier: sends mails about balance crossings, switched services and alarms, each once.

account.changed ──▶ who the client is, and whether live or in shadow
balance.low ──────▶ Low Balance Alert ────┐
balance.zero ─────▶ VoIP Zero Balance     │
service.suspended ▶   (waits for this) ───┼─▶ queue ▶ still true? ─▶ SMTP ─▶ notice.sent
service.restored ─▶ VoIP Restored ────────┤            └─▶ dropped         └─▶ notice.failed
balance.restored ─▶ drops outdated mails  │
*.alarm ──────────▶ mail to the operator ─┘

The same events are delivered to webhooks and chat, read in a consumer group of their own.
"""

import asyncio
from datetime import datetime

import structlog

from notifier.form.layout import Layout
from notifier.form.mail import MailFacts, RenderedMail, render
from notifier.form.send_now import send_now
from notifier.form.shown import shown_templates
from notifier.form.store_shown import save_shown
from notifier.operator.channels import channel_loops, digest_loops
from notifier.owed.copies import MailCopies
from notifier.owed.decision import DecisionRules
from notifier.owed.intake import READS, MailIntake
from notifier.owed.reminders import ReminderLoop
from notifier.sending.attempts import RetryPolicy
from notifier.sending.breaker import SmtpBreaker
from notifier.sending.in_flight import MailsInFlight
from notifier.sending.loop import Render, SendingDependencies, SendingLoop
from notifier.sending.mime import Mail, Sender
from notifier.sending.recovery import RecoveryLoop
from notifier.sending.server_alarms import ALARMS
from notifier.sending.smtp import SmtpServer
from notifier.settings import Settings
from notifier.store import PRUNED, MailStore
from notifier.template import warnings
from notifier.words.catalogue import Catalogue
from ringfence.anti_entropy.loop import Owner
from ringfence.anti_entropy.wiring import anti_entropy_of
from ringfence.clock import Clock, SystemClock
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.loops import Loop, run_together
from ringfence.observe.health import Health
from ringfence.observe.start import wait_for_dependencies
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import Pool, open_pool
from ringfence.postgres.pruning import pruning_of
from ringfence.process import require_stores
from ringfence_contracts.errors import BadInput

_SPARE_S = 60.0
_REMINDERS_STALL_S = 300.0
log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Run the notifier until `stop` is set. Raises BadInput at once for an invalid template."""
    catalogue, server = _catalogue(settings), settings.smtp_server()
    dsn, size = settings.postgres_dsn.get_secret_value(), settings.notifier_smtp_connections + 4
    brokers = settings.brokers()
    if not await wait_for_dependencies("notifier", settings, health.readiness, stop):
        return
    async with (
        await open_pool(dsn, service="notifier", size=size) as pool,
        open_publisher(brokers, source="notifier") as publisher,
    ):
        require_stores(health, pool, publisher)
        shared = _sending_dependencies(settings, MailStore(pool), catalogue, server)
        intake = MailIntake(
            shared.store,
            render=shared.render,
            templates=catalogue.languages[catalogue.default].templates,
            rules=shared.rules,
            operator_email=settings.notifier_operator_email,
            alarm_group_s=settings.notifier_alarm_group_s,
            layout=settings.layout(),
            operator_zone=settings.notifier_operator_time_zone,
            clock=shared.clock,
            wake=shared.wake,
            tests=_test_copies(settings, pool, catalogue, shared.clock),
        )
        await _show_templates(settings, pool, catalogue, shared.clock.now())
        failures = keep_failures(pool, ALARMS, group="notifier", progress=health.loop("failures"))
        agents = GuardedAgents(
            RecordProcessor(intake.handle, publisher, consumer="notifier", failures=failures),
            READS,
            bootstrap=brokers,
            group="notifier",
            progress=health.loop("events"),
            before_exit=shared.in_flight.finish,
        )
        relay = OutboxRelay(pool, publisher, schema="notifier", progress=health.loop("outbox"))
        loops = _loops(settings, shared, health)
        loops += digest_loops(
            settings,
            pool,
            health,
            recipient=settings.notifier_operator_email,
            clock=shared.clock,
            wake=shared.wake,
        )
        # It owns no state that others read; the owners see by its looks when it was restored.
        again = anti_entropy_of(Owner("notifier", ALARMS), settings, pool, publisher, health)
        pruning = pruning_of(
            "notifier", PRUNED, pool, settings.kept_days, health.loop("pruning-past")
        )
        loops += [again.run, pruning.run]
        async with channel_loops(settings, pool, publisher, health, shared.clock) as channels:
            await run_together(stop, agents.run, failures.run, relay.run, *loops, *channels)


async def _show_templates(
    settings: Settings, pool: Pool, catalogue: Catalogue, now: datetime
) -> None:
    """Write what was loaded, for operators to see."""
    folder = str(settings.notifier_templates_dir or "")
    await save_shown(pool, shown_templates(catalogue, settings.layout(), folder, now), now)


def _test_copies(settings: Settings, pool: Pool, catalogue: Catalogue, clock: Clock) -> MailCopies:
    """What sends test copies, by the configured SMTP server."""

    async def send(mail: Mail) -> str:
        return await send_now(settings, mail)

    render = renderer(catalogue, settings.layout().for_samples())
    return MailCopies(pool, render=render, send=send, clock=clock)


def _sending_dependencies(
    settings: Settings, store: MailStore, catalogue: Catalogue, server: SmtpServer
) -> SendingDependencies:
    """What the senders share, from the settings."""
    return SendingDependencies(
        store=store,
        render=renderer(catalogue, settings.layout()),
        rules=DecisionRules(settings.notifier_low_interval_s, settings.notifier_obey_s),
        server=server,
        sender=Sender(settings.notifier_sender, settings.notifier_sender_name),
        breaker=SmtpBreaker(),
        policy=RetryPolicy(
            give_up_after_s=settings.notifier_give_up_after_s,
            resend_in_doubt=settings.notifier_in_doubt == "resend",
        ),
        in_flight=MailsInFlight(longest_s=server.data_s + _SPARE_S),
        clock=SystemClock(),
        wake=asyncio.Event(),
    )


def renderer(catalogue: Catalogue, layout: Layout | None = None) -> Render:
    """The function that renders mails to clients, in their language and in the layout."""
    form = layout or Layout()

    def render_mail(facts: MailFacts) -> RenderedMail:
        return render(facts, catalogue, form)

    return render_mail


def _loops(settings: Settings, shared: SendingDependencies, health: Health) -> list[Loop]:
    """A sender for each connection, the recovery, and the reminders if they are configured."""
    stall_s = shared.server.data_s + _SPARE_S
    senders = [
        SendingLoop(
            shared,
            poll_s=settings.notifier_poll_s,
            progress=health.loop(f"smtp-{number}", stall_s=stall_s),
        ).run
        for number in range(1, settings.notifier_smtp_connections + 1)
    ]
    recovery = RecoveryLoop(
        shared.store, policy=shared.policy, clock=shared.clock, progress=health.loop("recovery")
    )
    loops: list[Loop] = [*senders, recovery.run]
    if settings.notifier_reminder == "daily":
        progress = health.loop("reminders", stall_s=_REMINDERS_STALL_S)
        reminders = ReminderLoop(
            shared.store, clock=shared.clock, wake=shared.wake, progress=progress
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

"""The notifier: mails about balances that crossed a line, switched services and alarms, each once.

account.changed ─▶ who the client is, and whether live or in shadow
balance.low ─────▶ Low Balance Alert ────┐
balance.zero ────▶ drops an unsent one   │
service.suspended▶ VoIP Zero Balance ────┼─▶ message ─▶ SMTP ─▶ notice.sent
service.restored ▶ drops an unsent one   │                  └─▶ notice.failed
*.alarm ─────────▶ mail to the operator ─┘
"""

import asyncio
from collections.abc import Mapping

import structlog

from notifier.attempts import Persistence
from notifier.breaker import Breaker
from notifier.intake import READS, Intake
from notifier.recovery import RecoveryLoop
from notifier.sending import SendingLoop
from notifier.settings import Settings
from notifier.smtp import Sender, SmtpServer
from notifier.store import Store
from notifier.template import Template, warnings
from notifier.template_files import load_templates
from ringfence.clock import SystemClock
from ringfence.errors import BadInput
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.publisher import Publisher, make_producer
from ringfence.kafka.shell import Shell
from ringfence.observe.health import Health
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.process import run_loops

_SPARE_S = 60.0
log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Run the notifier until `stop` is set. A template that is refused stops it at the start."""
    templates, server = _templates(settings), _server(settings)
    dsn, size = settings.postgres_dsn.get_secret_value(), settings.notifier_smtp_connections + 4
    pool = await open_pool(dsn, service="notifier", size=size)
    producer = make_producer(settings.kafka_bootstrap)
    try:
        await producer.start()
        store, publisher = Store(pool), Publisher(producer, source="notifier")
        clock, wake = SystemClock(), asyncio.Event()
        persistence = Persistence(
            give_up_after_s=settings.notifier_give_up_after_s,
            resend_in_doubt=settings.notifier_in_doubt == "resend",
        )
        intake = Intake(
            store,
            templates=templates,
            operator_email=settings.notifier_operator_email,
            alarm_group_s=settings.notifier_alarm_group_s,
            clock=clock,
            wake=wake,
        )
        agents = GuardedAgents(
            Shell(intake.handle, publisher, consumer="notifier"),
            READS,
            bootstrap=settings.kafka_bootstrap,
            group="notifier",
            progress=health.loop("events"),
        )
        senders = _senders(settings, server, store, persistence, wake, health)
        recovery = RecoveryLoop(
            store, persistence=persistence, clock=clock, progress=health.loop("recovery")
        )
        relay = OutboxRelay(pool, publisher, schema="notifier", progress=health.loop("outbox"))
        await run_loops(
            stop, agents.run, recovery.run, relay.run, *(sender.run for sender in senders)
        )
    finally:
        await producer.stop()
        await pool.close()


def _senders(
    settings: Settings,
    server: SmtpServer,
    store: Store,
    persistence: Persistence,
    wake: asyncio.Event,
    health: Health,
) -> list[SendingLoop]:
    """One for each connection; they share what is known of the server."""
    breaker, clock = Breaker(), SystemClock()
    sender = Sender(settings.notifier_sender, settings.notifier_sender_name)
    return [
        SendingLoop(
            store,
            server=server,
            sender=sender,
            breaker=breaker,
            persistence=persistence,
            clock=clock,
            wake=wake,
            poll_s=settings.notifier_poll_s,
            progress=health.loop(f"smtp-{number}", stall_s=server.data_s + _SPARE_S),
        )
        for number in range(1, settings.notifier_smtp_connections + 1)
    ]


def _templates(settings: Settings) -> Mapping[str, Template]:
    try:
        templates = load_templates(settings.notifier_templates_dir)
    except BadInput as refused:
        log.error("a template is refused; nothing is sent until it is mended", reason=str(refused))
        raise
    for template in templates.values():
        for warning in warnings(template):
            log.warning("a template may look odd", template=template.name, what=warning)
    return templates


def _server(settings: Settings) -> SmtpServer:
    server = SmtpServer(
        host=settings.notifier_smtp_host,
        port=settings.notifier_smtp_port,
        tls=settings.smtp_tls(),
        ca_file=settings.notifier_smtp_ca_file,
        user=settings.notifier_smtp_user,
        password=settings.smtp_password(),
        command_s=settings.notifier_smtp_command_s,
        data_s=settings.notifier_smtp_data_s,
    )
    if server.user and server.tls == "none":
        log.warning("the SMTP password travels in the clear", host=server.host, port=server.port)
    return server

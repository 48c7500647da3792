"""The accounts service: serves the API, publishes its events, applies the suspender's events.

    HTTP ──▶ api ──▶ tables + outbox, in one transaction ──▶ payment.received.v1
                                                             account.changed.v1
                                                             tariff.published.v1
                                                             operator.requested.v1
    service.suspended.v1, service.restored.v1,               account.changed.v1
    service.suspension-failed.v1 ──▶ confirmations ────────▶ (VoIP Suspended = Yes or None)

Order of each request, and what a kill after each step means:

1. Write the change and its events (outbox rows) in one transaction. Before the commit: nothing
   was changed, and the caller may repeat the request.
2. Commit. The change is safe and its events will be published; the caller may have no answer, and
   a repeated payment with the same key gives the first answer.
3. Answer the request.
4. The relay publishes the outbox rows, then deletes them. A kill in between publishes them again:
   consumers recognize the event id.
"""

import asyncio
from contextlib import AsyncExitStack

from accounts.access.failed_logins import FailedLogins
from accounts.access.login_alarm import LoginAlarm
from accounts.access.tokens import parse_tokens
from accounts.anti_entropy.store import owner
from accounts.api.app import create_app
from accounts.clients.store_publishing import ALARMS, SCHEMA
from accounts.confirmations import TOPICS, Confirmations
from accounts.installation.servers import ServersFile
from accounts.notices.unsubscribe import WithUnsubscribe
from accounts.settings import Settings
from accounts.store import PRUNED, AccountStore
from ringfence.anti_entropy.wiring import anti_entropy_of
from ringfence.clock import SystemClock
from ringfence.kafka.agent import GuardedAgents
from ringfence.kafka.failures.keeper import keep_failures
from ringfence.kafka.processor import RecordProcessor
from ringfence.kafka.publisher import open_publisher
from ringfence.listening.asgi_server import AsgiServer
from ringfence.loops import run_together
from ringfence.observe.health import Health
from ringfence.observe.start import wait_for_dependencies
from ringfence.postgres.outbox import OutboxRelay
from ringfence.postgres.pool import open_pool
from ringfence.postgres.pruning import pruning_of
from ringfence.process import require_stores


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """Serve the API, relay the outbox and apply confirmations, until `stop` is set."""
    users = parse_tokens(settings.token_pairs().get_secret_value())
    if not await wait_for_dependencies("accounts", settings, health.readiness, stop):
        return
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        pool = await open_pool(
            settings.postgres_dsn.get_secret_value(),
            service="accounts",
            size=settings.accounts_pool_size,
        )
        stack.push_async_callback(pool.close)
        brokers = settings.brokers()
        publisher = await stack.enter_async_context(open_publisher(brokers, source="accounts"))
        require_stores(health, pool, publisher)
        logins = FailedLogins()
        app = create_app(
            users=users,
            clock=clock,
            pool=pool,
            servers=ServersFile(settings.servers_file),
            default_mode=settings.accounts_default_mode,
            failures=logins,
            link_key=settings.client_link_secret(),
            page_url=settings.client_page_url,
        )
        key, store = settings.unsubscribe_secret(), AccountStore(pool, clock)
        api = AsgiServer(
            WithUnsubscribe(app, key=key, store=store, clock=clock) if key else app,
            host=settings.accounts_host,
            port=settings.accounts_port,
            progress=health.loop("api"),
        )
        relay = OutboxRelay(pool, publisher, schema=SCHEMA, progress=health.loop("outbox"))
        failures = keep_failures(pool, ALARMS, group="accounts", progress=health.loop("failures"))
        confirmations = GuardedAgents(
            RecordProcessor(
                Confirmations(store).handle, publisher, consumer="accounts", failures=failures
            ),
            TOPICS,
            bootstrap=brokers,
            group="accounts",
            progress=health.loop("confirmations"),
        )
        again = anti_entropy_of(owner(clock), settings, pool, publisher, health)
        pruning = pruning_of(SCHEMA, PRUNED, pool, settings.kept_days, health.loop("pruning"))
        loops = (api, relay, confirmations, failures, again, pruning)
        alarm = LoginAlarm(pool, logins, clock, health.loop("logins"))
        await run_together(stop, *(loop.run for loop in (*loops, alarm)))

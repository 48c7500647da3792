"""`ringfence webhooks`: list the webhooks, show the log of deliveries, and send a test."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notifier.operator.events import example_body
from notifier.operator.settings import OperatorSettings
from notifier.operator.store_channels import log_rows
from notifier.operator.webhooks import DeliveryResult, Webhook, post
from ringfence.console.output import json_option, print_json
from ringfence.postgres.pool import open_pool
from ringfence.settings import read_settings
from ringfence.stack_file import database_dsn
from ringfence_contracts.errors import BadInput
from ringfence_contracts.ids import derive

_SHOWN = ("created_at", "webhook", "event_type", "subject", "state", "attempts", "last_error")


@click.group()
def webhooks() -> None:
    """List the webhooks, test one, and see what became of each delivery.

    \b
    Examples: ringfence webhooks list
              ringfence webhooks test crm
              ringfence webhooks log --state failed
    """


@webhooks.command("list")
@json_option
def list_webhooks(as_json: bool) -> None:
    """Show the webhooks that RINGFENCE_NOTIFIER_WEBHOOKS_FILE names, without their secrets."""
    if as_json:
        print_json([
            {"webhook": each.name, "address": _without_query(each.url), "events": each.events}
            for each in _webhooks()
        ])  # fmt: skip
        return
    table = Table("webhook", "address", "events", box=None)
    for webhook in _webhooks():
        table.add_row(
            Text(webhook.name), Text(_without_query(webhook.url)), Text(", ".join(webhook.events))
        )
    Console().print(table)


def _without_query(url: str) -> str:
    """An address without its query, which can contain a token."""
    return url.partition("?")[0] + ("?…" if "?" in url else "")


@webhooks.command()
@click.argument("name")
@json_option
def test(name: str, as_json: bool) -> None:
    """Send the webhook NAME a signed event of the type `test`, and show what it answers."""
    webhook = next((webhook for webhook in _webhooks() if webhook.name == name), None)
    if webhook is None:
        known = ", ".join(webhook.name for webhook in _webhooks()) or "none is configured"
        raise BadInput("webhook", name, f"one of those that are configured: {known}")
    answer = asyncio.run(_send_test(webhook))
    if not answer.delivered:
        raise BadInput("webhook", name, f"an answer 2xx; it {answer.reason}")
    if as_json:
        print_json({"webhook": name, "status": answer.status})
    else:
        click.echo(f"{name}: answered {answer.status}")


async def _send_test(webhook: Webhook) -> DeliveryResult:
    now = datetime.now(UTC)
    event_id = derive("webhook test", webhook.name, now.isoformat())
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        return await post(http, webhook, event_id, example_body(event_id, now), now)


@webhooks.command()
@click.option("--webhook", "name", help="Only this one's.")
@click.option("--state", type=click.Choice(["waiting", "delivered", "failed"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def log(name: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """Show what became of each delivery, the newest first. Times are UTC."""
    rows = asyncio.run(_log(name, state, limit))
    if as_json:
        print_json(rows)
        return
    table = Table(*(column.replace("_", " ") for column in _SHOWN), box=None)
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in _SHOWN))
    Console().print(table)
    if len(rows) == limit:
        click.echo(f"only the newest {limit} are shown: --limit shows more", err=True)


def _cell(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


async def _log(name: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    pool = await open_pool(database_dsn(), service="notifier", size=1)
    try:
        return [dict(row) for row in await log_rows(pool, name, state, limit)]
    finally:
        await pool.close()


def _webhooks() -> list[Webhook]:
    return read_settings(OperatorSettings).webhooks()

"""`ringfence explain`: what is stored about one call or entry, in words."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rating.explain import wording as words
from rating.explain.store import CallHistory, ExplainStore
from rating.explain.wording import LabelledText
from ringfence.postgres.pool import open_pool
from ringfence.stack_file import database_dsn
from ringfence_contracts.errors import BadInput
from ringfence_contracts.ids import call_id
from ringfence_contracts.money import format_micro

_SHORTEST_ID = 8
_EXPECTED = "a call's or an entry's id, its first 8 digits, or ID@SERVER as the PBX numbers it"


class _CallFirst(click.Group):
    """A group whose first word may be a call: `explain 5f1c…` is `explain call 5f1c…`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `call` before words that begin with no command of this group."""
        first = next((word for word in args if not word.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["call", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_CallFirst)
def explain() -> None:
    """Explain a call and its price, or why a client is on or off.

    \b
    Examples: ringfence explain 5f1c2e9a
              ringfence explain 5f1c2e9a-44b0@pbx1
              ringfence explain client acme-1001
    """


@explain.command("call")
@click.argument("call")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON, for machines.")
def explain_call(call: str, json_wanted: bool) -> None:
    """Explain what became of CALL, and how it was priced; `explain CALL` is the same.

    CALL is a call's id, a ledger entry's id, the first 8 digits of either, or the PBX's own id of
    the call and the server, as in 5f1c…@pbx1.
    """
    lines = asyncio.run(_explain(call))
    if json_wanted:
        click.echo(orjson.dumps([dict([line]) for line in lines]).decode())
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, Text(text))
    Console().print(table)


async def _explain(text: str) -> list[LabelledText]:
    async with await open_pool(database_dsn(), service="rating", size=2) as pool:
        store = ExplainStore(pool)
        found_id = await _id_of(store, text.strip())
        history = await store.history(found_id)
        if history.is_empty:
            entry = await store.entry(found_id)
            if entry is None:
                raise BadInput("CALL", text, _EXPECTED)
            if entry["kind"] in ("top-up", "adjustment"):
                return list(words.of_entry(entry))
            history = await store.history(entry["cause_id"])
        return list(history_lines(history))


async def _id_of(store: ExplainStore, text: str) -> UUID:
    source_call_id, at, server_id = text.rpartition("@")
    if at:
        return call_id(server_id, source_call_id)
    digits = text.replace("-", "").lower()
    if not _SHORTEST_ID <= len(digits) <= 32 or not set(digits) <= set("0123456789abcdef"):
        raise BadInput("CALL", text, _EXPECTED)
    if len(digits) == 32:
        return UUID(digits)
    found = await store.ids_from(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "nothing that rating knows"
        raise BadInput("CALL", text, f"more of the id; it begins {names}")
    return found[0]


def history_lines(history: CallHistory) -> Iterator[LabelledText]:
    """A call's history as lines."""
    yield "call", str(history.call_id)
    reversed_by = {row["reverses"]: row for row in history.entries if row["kind"] == "reversal"}
    for row in history.entries:
        if row["kind"] == "charge":
            yield from _charge(row, reversed_by.get(row["entry_id"]))
    for part, lines in (
        (history.not_billed, words.of_not_billed),
        (history.unrated, words.of_unrated),
        (history.dead, words.of_dead),
    ):
        if part is not None:
            yield from lines(part)
    if history.accepted is not None and not any(history[1:5]):
        yield from words.of_accepted(history.accepted)


def _charge(row: Any, reversal: Any) -> Iterator[LabelledText]:
    cost = f"{format_micro(-row['amount_micro'])} {row['currency']}"
    details = orjson.loads(row["explanation"])
    rerated = details["explanation"].get("rerated")
    yield "", ""
    yield "outcome", f"charged {cost}" + (", and given back since" if reversal else "")
    yield "account", row["account_id"]
    if rerated:
        cause = "by the undoing of run" if rerated.get("undone") else "by run"
        yield "re-rated", f"{cause} {rerated['run_id']}, in the place of {rerated['replaces']}"
    yield from words.of_charge(row["amount_micro"], row["currency"], details)
    yield from words.of_entry(row)
    if reversal:
        yield "given back", f"by entry {reversal['entry_id']}, number {reversal['version']}"

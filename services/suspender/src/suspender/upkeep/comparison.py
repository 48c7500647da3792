"""Alarms about products that name what their server does not have, after each of its readings.

Such a product is never switched off, or its calls never come, and nothing else says so: what is not
there causes no error. What a server has and no product names shows by its unrated calls.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from ringfence.clock import Clock
from ringfence.loops import run_loop
from ringfence.observe.health import Progress
from ringfence_contracts.events.alarm import AlarmText
from ringfence_pbx.comparison import ClientProduct, Missing, ServerInventory, compare
from ringfence_pbx.inventory_view import ServerKind
from suspender.upkeep.store_comparison import ComparisonInput, ComparisonStore, products_of

POLL_EVERY_S = 5.0
REST = timedelta(minutes=10)
"""A server is had read again for new products at most this often."""
MANY = 20
"""More products of one server than this are one alarm, about the server."""
log = structlog.get_logger()


class ComparisonLoop:
    """Compares all products at the start, and after each reading of a server.

    `kinds` are those of all servers there are; without any, no server counts as missing. A server
    that was never read is not compared; its products' alarms stay as they are.
    """

    def __init__(
        self,
        *,
        store: ComparisonStore,
        kinds: Mapping[str, ServerKind],
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._clock = clock
        self._progress = progress
        self._compared: dict[str, datetime] | None = None
        self._requested: dict[str, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Compare until `stop` is set; while the database does not answer, try again."""
        await run_loop(
            stop, self._turn, "comparison waits", progress=self._progress, every_s=POLL_EVERY_S
        )

    async def _turn(self) -> None:
        read = await self._store.read_times()
        if read == self._compared:
            return
        known = await self._store.load()
        # Many products take a while to be read: beside the loop, so that nothing waits for it.
        alarms, undecided, to_read = await asyncio.to_thread(_decided, known, self._kinds)
        now = self._clock.now()
        raised = await self._store.update_alarms(alarms, undecided, now)
        due = {s for s in to_read if s not in self._requested or now - self._requested[s] > REST}
        await self._store.request_reads(due, now)
        self._requested |= dict.fromkeys(due, now)
        for subject in raised:
            log.warning("product names what is not there", subject=subject)
        self._compared = read


def _decided(
    known: ComparisonInput, kinds: Mapping[str, ServerKind]
) -> tuple[dict[str, AlarmText], set[str], set[str]]:
    """The alarms that are to be open, by subject, and the subjects that nothing is known of.

    Of a product that changed after its server was asked nothing is known: what it names may be as
    new. The last are the servers to be read again for such products.
    """
    products = products_of(known.products)
    inventories = [
        ServerInventory(server_id, kinds[server_id], items, known.gaps.get(server_id, ()))
        for server_id, items in known.items.items()
        if server_id in kinds
    ]
    compared = compare(products, inventories, kinds.keys() or None)
    by_server: dict[str, dict[str, list[Missing]]] = defaultdict(lambda: defaultdict(list))
    undecided, to_read = _undecided(products, compared.unread), set[str]()
    for missing in (missing for missing in compared.missing if missing.is_grave):
        if (missing.server_id, missing.account_id) in known.new:
            undecided.add(missing.service_id)
            to_read.add(missing.server_id)
        else:
            by_server[missing.server_id][missing.service_id].append(missing)
    alarms: dict[str, AlarmText] = {}
    for server_id, of_products in by_server.items():
        if len(of_products) > MANY:
            alarms[f"server {server_id}"] = _many(server_id, len(of_products))
        else:
            alarms |= {service_id: _one(found) for service_id, found in of_products.items()}
    return alarms, undecided, to_read


def _undecided(products: list[ClientProduct], unread: tuple[str, ...]) -> set[str]:
    subjects = {f"server {server_id}" for server_id in unread}
    subjects |= {s.service_id for _, s in products if s.server_id in unread}
    return subjects


def _one(found: list[Missing]) -> AlarmText:
    first = found[0]
    who = f"client {first.account_id}, product {first.service_id}"
    if first.kind == "server":
        message = f"{who} is on server {first.server_id}, which is not in the servers file."
    else:
        words = {"did": "DID"}
        names = ", ".join(f"{words.get(m.kind, m.kind)} {m.name}" for m in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        message = f"{who} names {names}{more}, which server {first.server_id} does not have."
    hint = f" ({first.hint})" if first.hint else ""
    meant = f" Is {first.suggestion}{hint} meant?" if first.suggestion else ""
    if first.hint and not first.suggestion:
        meant = f" {first.hint[0].upper()}{first.hint[1:]}."
    return AlarmText(
        message=f"{message} Its calls never come, or it is never switched off.",
        what_to_do=f"Correct the product.{meant} Then: ringfence server inventory"
        f" {first.server_id} --refresh. docs/runbooks/product-not-there.md",
        account_id=first.account_id,
    )


def _many(server_id: str, count: int) -> AlarmText:
    return AlarmText(
        message=f"{count} products name what server {server_id} does not have, as if it were"
        " another server, or its tenants had been removed. Their calls never come, or they are"
        " never switched off.",
        what_to_do=f"See that the servers file leads to the right server; ringfence server compare"
        f" {server_id} lists all. docs/runbooks/product-not-there.md",
    )

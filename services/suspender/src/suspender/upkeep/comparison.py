"""Alarms about products that name what their server does not have, after each of its readings.

Such a product is never switched off, or its calls never arrive, and no error shows it. The reverse,
what a server has and no product names, shows as unrated calls.
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
"""A server is read again for new products at most this often."""
MANY = 20
"""Above this number of products of a server, one alarm about the server is raised."""
log = structlog.get_logger()


class ComparisonLoop:
    """Compares all products at the start, and after each reading of a server.

    `kinds` are the kinds of all servers by id; if it is empty, no server counts as missing. A
    server that was never read is not compared, and the alarms of its products stay as they are.
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
        # Comparing many products takes a while: in a thread, so that the event loop goes on.
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
    """The alarms that are to be open by subject, undecided subjects, and servers to read again.

    A subject is undecided if its product changed after its server was read, as what it names may
    be equally new. The server is then read again.
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

"""Compares products with the inventories of the servers as they were last read.

No server is contacted here: the suspender reads each inventory once an hour and on request.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ringfence.clock import Clock
from ringfence_contracts.events.account import Service
from ringfence_doctor.check_result import CheckResult, CheckState, age
from ringfence_doctor.products.store import EnteredProducts, LastRead, UnclaimedCalls
from ringfence_pbx.comparison import (
    Comparison,
    Missing,
    Proposal,
    ServerInventory,
    Unowned,
    compare,
)
from ringfence_pbx.servers import AnyServer

MAX_LINES = 20
"""How many differences of one kind are listed for a server; the rest is counted."""

OLD = timedelta(hours=26)
"""An older inventory means that the suspender no longer reads it."""

_PRODUCTS = "products"
_WORDS = {"tenant": "tenant", "extension": "extension", "gateway": "gateway", "did": "DID"}


def examine_products(
    servers: Mapping[str, AnyServer],
    only: Collection[str],
    entered: EnteredProducts,
    routes: Mapping[str, bool],
    clock: Clock,
) -> list[CheckResult]:
    """All differences of the servers in `only`; `servers` are all of the servers file.

    `routes`: whether a FusionPBX's outbound routes test toll_allow, by server id, if known.
    """
    if entered.unknown:
        action = "see that RINGFENCE_POSTGRES_DSN leads to it"
        message = f"not compared with the servers: {entered.unknown}"
        return [CheckResult(_PRODUCTS, "compared", "warn", message, action)]
    compared = _compared(servers, entered, routes)
    found = list(_without_server(compared, servers, only, entered))
    for server_id in only:
        mine = [p.service for p in entered.products if p.service.server_id == server_id]
        read = entered.reads.get(server_id, LastRead())
        if mine or read.read_at or read.error:
            found.append(_inventory(server_id, servers[server_id], entered, clock.now()))
        found += _missing(server_id, compared, mine, entered)
        found += _unowned(server_id, compared)
        found += _unclaimed(server_id, entered)
        found += _switching_checks(server_id, servers[server_id], mine, routes.get(server_id))
    return found


def _compared(
    servers: Mapping[str, AnyServer], entered: EnteredProducts, routes: Mapping[str, bool]
) -> Comparison:
    inventories = [
        ServerInventory(
            server_id, servers[server_id].kind, entered.items.get(server_id, ()), read.gaps,
            routes.get(server_id),
        )
        for server_id, read in entered.reads.items()
        if server_id in servers and read.read_at is not None
    ]  # fmt: skip
    return compare(entered.products, inventories, servers.keys())


def _without_server(
    compared: Comparison,
    servers: Mapping[str, AnyServer],
    only: Collection[str],
    entered: EnteredProducts,
) -> Iterator[CheckResult]:
    """Products on no server of the file, and unreadable ones; empty if one server is checked."""
    if set(only) != servers.keys():
        return
    absent = [missing for missing in compared.missing if missing.kind == "server"]
    for missing in absent[:MAX_LINES]:
        near = f"enter {missing.suggestion} in its place" if missing.suggestion else ""
        action = near or "correct the product's server_id, or add the server to the servers file"
        message = (
            f"{_product_named(missing)} is on server {missing.server_id}, which is not in the"
            " servers file"
        )
        yield CheckResult(_PRODUCTS, "server", "fail", message, action)
    if len(absent) > MAX_LINES:
        message = f"{len(absent) - MAX_LINES} more are on servers that are not in the servers file"
        yield CheckResult(_PRODUCTS, "server", "fail", message, "as above")
    if entered.unreadable:
        message = f"cannot be read: {_listed(entered.unreadable)}"
        action = "enter them again; this program is older than what entered them"
        yield CheckResult(_PRODUCTS, "readable", "fail", message, action)


def _product_named(missing: Missing) -> str:
    return f"product {missing.service_id} of client {missing.account_id}"


def _inventory(
    server_id: str, server: AnyServer, entered: EnteredProducts, now: datetime
) -> CheckResult:
    """When the server was last read, and what could not be read."""
    read = entered.reads.get(server_id, LastRead())
    again = f"`ringfence server inventory {server_id} --refresh` reads it now"

    def finding(state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult(server_id, "inventory", state, message, action)

    if read.read_at is None:
        why = f": {read.error}" if read.error else ""
        action = f"see that the suspender runs; {again}"
        return finding("warn", f"was never read, so no product is compared with it{why}", action)
    counts: Counter[str] = Counter(item.kind for item in entered.items.get(server_id, ()))
    message = f"read {age(read.read_at, now)}: " + ", ".join(
        f"{counts[kind]} {word}s" for kind, word in _WORDS.items()
    )
    if read.error:
        return finding("warn", f"{message}; the last try failed: {read.error}", again)
    if now - read.read_at > OLD:
        return finding("warn", message, f"see that the suspender runs; {again}")
    if not read.gaps:
        return finding("ok", message)
    message = f"{message}; not read: {_listed(read.gaps)}"
    if server.kind == "lesnet":  # nothing that anybody here could give
        return finding("ok", message)
    return finding(
        "warn", message, "what was not read is not compared; give the rights that it names"
    )


def _missing(
    server_id: str, compared: Comparison, mine: Sequence[Service], entered: EnteredProducts
) -> Iterator[CheckResult]:
    """What the server's products name and the server does not have.

    A product that was entered after the inventory was read is not compared, because what it names
    can be equally new.
    """
    read_at = entered.reads.get(server_id, LastRead()).read_at
    new = {id_ for id_, at in entered.changed_at.items() if read_at is not None and at > read_at}
    found = [m for m in compared.missing if m.server_id == server_id and m.kind != "server"]
    if hidden := {m.service_id for m in found} & new:
        message = f"{len(hidden)} were entered after it was last read: {_listed(sorted(hidden))}"
        action = f"`ringfence server inventory {server_id} --refresh` reads it now; then look again"
        yield CheckResult(server_id, _PRODUCTS, "warn", message, action)
        found = [m for m in found if m.service_id not in new]
    found.sort(key=lambda missing: not missing.is_grave)
    for missing in found[:MAX_LINES]:
        message = f"{_product_named(missing)} names {_WORDS[missing.kind]} {missing.name}"
        if missing.kind in ("extension", "did"):
            message = f"{message} of {missing.tenant}"
        message = f"{message}, which the server does not have"
        yield CheckResult(
            server_id, _PRODUCTS, "fail" if missing.is_grave else "warn", message, _advice(missing)
        )
    if len(found) > MAX_LINES:
        message = f"{len(found) - MAX_LINES} more things are named that the server does not have"
        state: CheckState = "fail" if any(m.is_grave for m in found[MAX_LINES:]) else "warn"
        yield CheckResult(server_id, _PRODUCTS, state, message, _compare_advice(server_id))
    if mine and not found and not hidden and server_id not in compared.unread:
        yield CheckResult(server_id, _PRODUCTS, "ok", f"{len(mine)}; what they name is there")


def _advice(missing: Missing) -> str:
    correct = "correct the product"
    if missing.is_grave:
        correct = f"{correct}: its calls never come, or it is never switched off"
    if missing.suggestion:
        hint = f" ({missing.hint})" if missing.hint != missing.suggestion else ""
        return f"is {missing.suggestion}{hint} meant? {correct}"
    return f"{missing.hint}; {correct}" if missing.hint else correct


def _compare_advice(server_id: str) -> str:
    return f"`ringfence server compare {server_id}` lists all"


def _unowned(server_id: str, compared: Comparison) -> Iterator[CheckResult]:
    """What the server has and no product names."""
    proposed = {p.tenant: p for p in compared.proposals if p.server_id == server_id}
    mine = [u for u in compared.unowned if u.server_id == server_id]
    tenants = [unowned for unowned in mine if unowned.kind == "tenant"]
    for unowned in tenants[:MAX_LINES]:
        message = f"tenant {unowned.name} has no product: its calls stay unrated"
        yield CheckResult(
            server_id, "no product", "warn", message, _product_advice(proposed.get(unowned.name))
        )
    if len(tenants) > MAX_LINES:
        message = f"{len(tenants) - MAX_LINES} more tenants have none"
        action = f"`ringfence server propose {server_id}` prints a product for each"
        yield CheckResult(server_id, "no product", "warn", message, action)
    yield from _unlisted(server_id, [unowned for unowned in mine if unowned.kind != "tenant"])


def _product_advice(proposal: Proposal | None) -> str:
    if proposal is None:
        return "enter a product for it"
    fields = "; ".join(f"{name}: {value}" for name, value in proposal.fields.items())
    notes = f" ({'; '.join(proposal.notes)})" if proposal.notes else ""
    return f"enter a product, such as {fields}{notes}"


def _unlisted(server_id: str, unowned: Sequence[Unowned]) -> Iterator[CheckResult]:
    """Extensions and DIDs in no product, of tenants that have products, one line per tenant."""
    by_tenant: dict[str, list[Unowned]] = defaultdict(list)
    for one in unowned:
        by_tenant[one.tenant].append(one)
    for tenant, ones in list(by_tenant.items())[:MAX_LINES]:
        parts = [
            f"{_WORDS[kind]}s {_listed(names)}"
            for kind in ("extension", "did")
            if (names := [one.name for one in ones if one.kind == kind])
        ]
        message = f"no product of {tenant} names {' and '.join(parts)}: their calls stay unrated"
        action = "add them to a product of the tenant"
        yield CheckResult(server_id, "no product", "warn", message, action)
    if len(by_tenant) > MAX_LINES:
        message = f"{len(by_tenant) - MAX_LINES} more tenants have extensions or DIDs in no product"
        yield CheckResult(server_id, "no product", "warn", message, _compare_advice(server_id))


def _unclaimed(server_id: str, entered: EnteredProducts) -> Iterator[CheckResult]:
    """Calls that wait because no product claims them, one line per tenant."""
    by_tenant: dict[str, list[UnclaimedCalls]] = defaultdict(list)
    for one in entered.unclaimed:
        if one.server_id == server_id:
            by_tenant[one.tenant].append(one)
    for tenant, ones in list(by_tenant.items())[:MAX_LINES]:
        calls, talk_s = sum(one.calls for one in ones), sum(one.talk_s for one in ones)
        names = _listed([f"{one.name or 'nobody'} ({one.calls})" for one in ones])
        message = (
            f"{calls} calls of {tenant} wait, {talk_s // 60} min {talk_s % 60} s of talk, because"
            f" no single product has their extension or DID: {names}"
        )
        action = (
            "name them in one product, as a range or with * for the rest of the tenant; then"
            f" `ringfence unrated replay --tenant {tenant}`"
        )
        yield CheckResult(server_id, "calls without product", "warn", message, action)
    if len(by_tenant) > MAX_LINES:
        message = f"calls of {len(by_tenant) - MAX_LINES} more tenants wait for a product"
        yield CheckResult(
            server_id, "calls without product", "warn", message, "`ringfence unrated` lists them"
        )


def _switching_checks(
    server_id: str, server: AnyServer, mine: Sequence[Service], tests_toll_allow: bool | None
) -> Iterator[CheckResult]:
    """Whether products can be suspended as configured, and whether 911 works while off."""
    outbound = sum(service.way == "outbound" for service in mine)
    if outbound and tests_toll_allow is False:
        message = f"{outbound} are suspended by outbound, and no outbound route tests toll_allow"
        action = (
            "add the condition ${toll_allow} to the routes: until then, their calls go on while off"
        )
        yield CheckResult(server_id, "outbound", "fail", message, action)
    whole = len(mine) - outbound
    if not whole:
        return
    message = (
        f"does not work while off for {whole} of {len(mine)} products: they are switched whole"
    )
    action = "say so to these clients"
    if server.kind == "fusionpbx" and tests_toll_allow is not False:
        action = "set `suspend_by` to outbound, which keeps emergency and inbound calls"
        if tests_toll_allow is None:
            action = f"where the outbound routes test toll_allow, {action}"
    elif server.kind == "fusionpbx":
        action = f"{action}, or add the condition ${{toll_allow}} to the outbound routes"
    yield CheckResult(server_id, "911", "warn", message, action)


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown

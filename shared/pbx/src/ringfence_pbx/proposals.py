"""Proposes products for the tenants of a server that have none: pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ringfence.numbers.written import digits
from ringfence_pbx.inventory_view import ServerKind, ServerView, folded


@dataclass(frozen=True)
class Proposal:
    """A product for a tenant that has none; `fields` are those of `PUT /v1/…/products/…`.

    `notes` lists what the fields leave out, and what to check before the product is entered.
    """

    server_id: str
    kind: ServerKind
    tenant: str
    name: str
    fields: Mapping[str, str]
    notes: tuple[str, ...] = ()


def proposals(view: ServerView) -> Iterator[Proposal]:
    """One proposal for each tenant that has no product and may have calls."""
    makers = {"fusionpbx": _fusionpbx_fields, "vodia": _vodia_fields}
    make = makers.get(view.inventory.kind)
    if make is None:
        return
    for tenant in view.tenants_without_product:
        item = view.tenants[tenant]
        fields, notes = make(view, tenant)
        yield Proposal(
            view.inventory.server_id, view.inventory.kind, item.name, item.label or item.name,
            {name: value for name, value in fields.items() if value}, tuple(notes),
        )  # fmt: skip


def _fusionpbx_fields(view: ServerView, tenant: str) -> tuple[dict[str, str], list[str]]:
    extensions, dids, notes = _numbers(view, tenant, range(2, 7))
    outbound = view.inventory.tests_toll_allow
    if not dids:
        notes.append("no DID is listed for the tenant: add its main DID")
    if not extensions:
        notes.append("no extension is listed for the tenant: add its extensions")
    if outbound is not True:
        shown = "do not test" if outbound is False else "are not known to test"
        notes.append(
            f"its outbound routes {shown} toll_allow, so extensions are switched off as a whole: "
            "911 does not work while off"
        )
    fields = {
        "domain_tenant_and_main_dids": " | ".join((tenant, *dids)),
        "extensions": " | ".join(extensions),
        "suspend_by": "outbound" if outbound else "extensions",
        "gateway_ids": " | ".join(_own_gateways(view, tenant)),
    }
    return fields, notes


def _vodia_fields(view: ServerView, tenant: str) -> tuple[dict[str, str], list[str]]:
    extensions, dids, notes = _numbers(view, tenant, range(3, 6))
    numbers = (*dids, *extensions)
    if not numbers:
        notes.append("neither a DID nor an extension is listed for the tenant: add them")
    notes.append("911 does not work while off: Vodia has no switch for outbound calls alone")
    fields = {
        "tenant_and_inbound_dids": " | ".join((tenant, *numbers)),
        "did_or_extension": (*extensions, *dids, "")[0],
        "suspend_by": "extensions",
        "trunk_ids": " | ".join(_own_gateways(view, tenant)),
    }
    return fields, notes


def _numbers(
    view: ServerView, tenant: str, lengths: range
) -> tuple[list[str], list[str], list[str]]:
    """The extensions and DIDs that a product can list, and a note of those that it cannot."""
    extensions = [
        e for e in view.extensions[tenant] if e.isascii() and e.isdecimal() and len(e) in lengths
    ]
    dids = [d for i in view.dids[tenant].values() if 7 <= len(d := digits(i.name)) <= 15]
    odd = sorted(view.extensions[tenant].keys() - set(extensions))
    odd += sorted(i.name for i in view.dids[tenant].values() if digits(i.name) not in dids)
    notes = [f"left out, a product cannot list them: {', '.join(odd)[:300]}"] if odd else []
    return sorted(extensions, key=lambda e: (len(e), e)), sorted(set(dids)), notes


def _own_gateways(view: ServerView, tenant: str) -> list[str]:
    return sorted(uuid for uuid, item in view.gateways.items() if folded(item.tenant) == tenant)

"""Clients as API responses: their fields, their state, and its explanation. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from accounts.clients.account import Account, shown_profile
from accounts.clients.changes import order_shown
from accounts.clients.orders import in_force
from accounts.clients.overview.row import ClientRow
from accounts.clients.wording import (
    ClientSituation,
    FundsState,
    ProductState,
    SwitchStatus,
    brings_back,
    explanation,
    holds_of,
    line_words,
    reason,
    what_happens,
)
from accounts.products.elements import emergency_words
from accounts.situation.burn import Burn, credit_of
from ringfence_contracts.money import format_micro

Facts = dict[str, Any]
_ON_OFF = {"active": "on", "suspended": "off"}
DEPARTED = "removed; off until the hold ends"
"""The text for a product that was removed while it was off."""


def situation_of(row: ClientRow, now: datetime) -> ClientSituation:
    """The client's situation, from which the texts are made."""
    products = tuple(_product(found, braked=row.braked) for found in row.products)
    funds = FundsState(row.balance_micro, held=row.held and not row.undone, braked=row.braked)
    return ClientSituation(row.account, products, funds, now)


def _product(found: Mapping[str, Any], *, braked: bool) -> ProductState:
    """A product counts as off when it is to be switched off, unless that waits for the brake."""
    confirmed_off = found["confirmed"] == "suspended"
    to_be_off = found["wanted"] == "suspended" and not braked
    off = found["wanted"] == "suspended" if found["open"] else confirmed_off
    return ProductState(
        service_id=found["service_id"],
        prepaid=found["prepaid"],
        off=off and (confirmed_off or to_be_off),
    )


def client_shown(row: ClientRow, now: datetime) -> Facts:
    """A client: the fields that PUT takes, and the state that ringfence adds."""
    account, situation = row.account, situation_of(row, now)
    held_off = row.state in ("off", "switching", "failed") or row.would == "off"
    return {
        **_settings_shown(account, now),
        "opening_balance": _decimal(row.opening_micro),
        "mode": account.mode,
        "leave_off": account.leave_off,
        "orders": [order_shown(order) for order in in_force(account.orders, now)],
        "outstanding_as_of": account.outstanding_as_of,
        **_money("balance", row.balance_micro),
        "level": row.level,
        "held": row.held,
        "state": row.state,
        "would": row.would,
        "reason": reason(situation) if held_off else "",
        "since": _since(row),
        "brings_back": brings_back(situation) if held_off else "",
        "suspension_failures": {
            found["service_id"]: found["failure"] for found in row.products if found["failure"]
        },
        "imported": account.imported,
        "departed": [_departed(found) for found in row.departed],
    }


def burn_listed(client: Facts, burn: Burn, now: datetime) -> Facts:
    """How fast a listed client uses its credit, and when it is out; None where it is out."""
    credit_micro = credit_of(client)
    out_at = burn.out_at(credit_micro, now) if credit_micro > 0 else None
    return {**_money("pace", burn.pace_micro), "out_at": out_at}


def _departed(found: Mapping[str, Any]) -> Facts:
    """A product that was removed and of which something is still off."""
    return {
        "product": found["service_id"],
        "server": found["server_id"],
        "confirmed": _ON_OFF.get(found["confirmed"] or ""),
        "since": datetime.fromisoformat(found["since"]) if found["since"] else None,
        "proven": found["proven"],
        "last_error": found["last_error"],
        "words": DEPARTED,
    }


def _settings_shown(account: Account, now: datetime) -> Facts:
    return {
        "account_id": account.account_id,
        "version": account.version,
        "currency": account.currency,
        "time_zone": account.time_zone,
        **account.client.model_dump(),
        **shown_profile(account, now).model_dump(),
        **_money("outstanding", account.outstanding_micro),
        **_money("credit_limit", account.credit_limit_micro),
    }


def _money(name: str, micro: int | None) -> Facts:
    return {f"{name}_micro": micro, name: _decimal(micro)}


def _decimal(micro: int | None) -> str | None:
    return None if micro is None else format_micro(micro)


def _since(row: ClientRow) -> datetime | None:
    """Since when the client is in its state; None where no PBX has confirmed anything yet."""
    if row.would == "off":
        return row.held_since if row.held else None
    confirmed = {"off": "suspended", "on": "active"}.get(row.state)
    found = [
        datetime.fromisoformat(product["since"])
        for product in row.products
        if product["since"] and (confirmed is None or product["confirmed"] == confirmed)
    ]
    if not found or row.state == "no-service":
        return None
    return min(found) if row.state == "off" else max(found)


def explained(row: ClientRow, now: datetime) -> Facts:
    """Why a client is on or off: a line for each product, and sentences about the client."""
    situation = situation_of(row, now)
    pairs = zip(situation.products, row.products, strict=True)
    return {
        "account_id": row.account.account_id,
        "state": row.state,
        "would": row.would,
        "mode": row.account.mode,
        "lines": [_line(situation, product, found) for product, found in pairs],
        "departed": [_departed(found) for found in row.departed],
        "words": [
            *explanation(situation, row.state, row.would),
            *(
                f"Product {found['service_id']} was removed: it is off until the hold ends."
                for found in row.departed
            ),
        ],
    }


def _line(situation: ClientSituation, product: ProductState, found: Mapping[str, Any]) -> Facts:
    since = datetime.fromisoformat(found["since"]) if found["since"] else None
    line = SwitchStatus(
        service_id=product.service_id,
        desired=found["would"],
        confirmed=found["confirmed"],
        switching=found["open"] and not (situation.funds.braked and not product.off),
        since=since,
        attempts=found["attempts"] or 0,
        last_error=found["last_error"] or "",
        proven=found["proven"],
        ended_calls=len(found["ended_calls"] or ()),
        emergency=emergency_words(found["kind"], _way(found)),
    )
    return {
        "product": product.service_id,
        "server": found["server_id"],
        "state": _product_state(found, line),
        "desired": _ON_OFF.get(found["would"] or ""),
        "confirmed": _ON_OFF.get(found["confirmed"] or ""),
        "proven": line.proven,
        "emergency": line.emergency,
        "ended_calls": list(found["ended_calls"] or ()),
        "since": since,
        "holds": [hold.kind for hold in holds_of(situation, product)],
        "words": line_words(situation, product, line),
    }


def _way(found: Mapping[str, Any]) -> str:
    is_outbound = found["suspend_by"] == "extensions" and found["outbound_only"]
    return "outbound" if is_outbound else str(found["suspend_by"])


def _product_state(found: Mapping[str, Any], line: SwitchStatus) -> str:
    if line.switching:
        return "failed" if found["failure"] else "switching"
    return "off" if found["confirmed"] == "suspended" else "on"


def happens(row: ClientRow, before: Account | None, now: datetime) -> str:
    """What a change does: `row` is the client after it, `before` the account before it."""
    after = situation_of(row, now)
    return what_happens(after, replace(after, account=before) if before else None)

"""Texts: why a client is on or off, what brings it back, what a change will do. Pure.

They follow from the funds hold as balance-watch decided it and from the orders in force, by the
rules of domain/billing, section 7 (b2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from accounts.clients.account import Account
from accounts.clients.orders import ClientOrder, in_force, shown_instant
from ringfence_contracts.money import format_micro

HoldKind = Literal["funds", "manual", "forced", "whmcs"]
_NAMES = {
    "manual": "manual order",
    "forced": "forced order",
    "whmcs": "WHMCS order",
    "exemption": "exemption",
}


@dataclass(frozen=True)
class FundsState:
    """The funds of an account as last read. `held`: the funds hold is on and was not undone.

    `balance_micro` is None before the first posting. `braked`: the brake is on, so a funds hold
    switches off no product that is on.
    """

    balance_micro: int | None = None
    held: bool = False
    braked: bool = False


@dataclass(frozen=True)
class ProductState:
    """The state of a product that the texts need. `off`: switched off, or about to be."""

    service_id: str
    prepaid: bool = True
    off: bool = False


@dataclass(frozen=True)
class ClientSituation:
    """Everything that decides at `now` whether the products of a client are on."""

    account: Account
    products: tuple[ProductState, ...]
    funds: FundsState
    now: datetime


class ActiveHold(NamedTuple):
    """A hold on a product: an order, or the funds."""

    kind: HoldKind
    order: ClientOrder | None = None


def holds_of(situation: ClientSituation, product: ProductState) -> tuple[ActiveHold, ...]:
    """The holds on a product; none for a client without VoIP service."""
    account = situation.account
    if not account.profile.has_voip_service:
        return ()
    orders = _orders_of(situation, product.service_id)
    exempt = any(order.kind == "exemption" for order in orders)
    funds = situation.funds.held and product.prepaid and not exempt
    held_by = [ActiveHold(order.kind, order) for order in orders if order.kind != "exemption"]
    return (*((ActiveHold("funds"),) if funds else ()), *held_by)


def _orders_of(situation: ClientSituation, service_id: str) -> list[ClientOrder]:
    orders = in_force(situation.account.orders, situation.now)
    return [order for order in orders if order.service_id in (None, service_id)]


def reason(situation: ClientSituation) -> str:
    """Why products of the client are held off; empty when none is."""
    return "; ".join(_hold_words(situation, hold, "list") for hold in _holds(situation))


def brings_back(situation: ClientSituation) -> str:
    """What would end all holds of the client; empty when there is none."""
    needed: list[str] = []
    for hold in _holds(situation):
        needed += _ends(situation, hold)
    return " and ".join(dict.fromkeys(needed))


def adoption_words(count: int) -> str:
    """What happens to `count` elements that were off when their imported client goes live."""
    what = "1 element that is" if count == 1 else f"{count} elements that are"
    does = "counts" if count == 1 else "count"
    return (
        f"{what} off on the PBX {does} as switched off by us, so that a payment switches on again"
    )


def ends_when(situation: ClientSituation, product: ProductState) -> str:
    """What would end the holds of one product; empty when there is none."""
    needed = [words for hold in holds_of(situation, product) for words in _ends(situation, hold)]
    return " and ".join(dict.fromkeys(needed))


def _holds(situation: ClientSituation) -> list[ActiveHold]:
    """The holds of all products without duplicates, in the order of the products."""
    found = (hold for product in situation.products for hold in holds_of(situation, product))
    return list(dict.fromkeys(found))


def _ends(situation: ClientSituation, hold: ActiveHold) -> list[str]:
    if hold.order is not None:
        return [f"the end of the {_order_name(hold.order)}"]
    account, balance = situation.account, situation.funds.balance_micro
    missing = -account.credit_limit_micro - (balance or 0)
    needed = []
    if missing > 0:
        needed.append(f"a payment of more than {format_micro(missing)}")
    elif missing == 0:
        needed.append("a payment")
    if account.outstanding_micro > 0:
        needed.append(f"payment of the invoices ({format_micro(account.outstanding_micro)})")
    return needed or ["the settlement of the last payment"]


Style = Literal["list", "sentence"]


def _hold_words(situation: ClientSituation, hold: ActiveHold, style: Style) -> str:
    if hold.order is not None:
        return order_words(hold.order, with_reason=style == "list")
    return funds_words(situation, style)


def funds_words(situation: ClientSituation, style: Style = "list") -> str:
    """Why the funds hold is on.

    In a list `no credit: balance -3.60`; in a sentence with the currency: `no credit (balance
    -3.60 CAD)`.
    """
    account = situation.account
    unit = "" if style == "list" else f" {account.currency}"
    credit, debts, limit = (
        f"{format_micro(micro)}{unit}"
        for micro in (
            situation.funds.balance_micro or 0,
            account.outstanding_micro,
            account.credit_limit_micro,
        )
    )
    balance = situation.funds.balance_micro
    if balance is None:
        return "off since it was imported, and nothing was posted yet"
    if balance <= -account.credit_limit_micro:
        cause = (
            "no credit" if not account.credit_limit_micro else f"credit limit of {limit} used up"
        )
        return f"{cause}: balance {credit}" if style == "list" else f"{cause} (balance {credit})"
    if account.outstanding_micro > balance:
        return f"debts of {debts} are larger than the credit of {credit}"
    if account.outstanding_micro > 0:
        return f"debts of {debts} are not paid yet: held until they are, with a credit of {credit}"
    return f"the last payment is being settled: balance {credit}"


def _order_name(order: ClientOrder) -> str:
    product = f" for {order.service_id}" if order.service_id else ""
    return f"{_NAMES[order.kind]}{product}"


def order_words(order: ClientOrder, *, with_reason: bool = True) -> str:
    """An order as text: `manual order by olga until 2026-12-01 05:00Z: holiday`."""
    until = f" until {shown_instant(order.until)}" if order.until else ""
    why = f": {order.reason}" if order.reason and with_reason else ""
    return f"{_order_name(order)} by {order.given_by}{until}{why}"


def what_happens(after: ClientSituation, before: ClientSituation | None = None) -> str:
    """What a change does, in one sentence. `before` is the situation that it changed."""
    if not after.account.profile.has_voip_service:
        return "nothing is switched: it has no VoIP service"
    if not after.products:
        return "nothing is switched: it has no product yet (`ringfence product set`)"
    if after.account.mode == "shadow":
        return _in_shadow(after, before)
    was_off = _off_before(after, before)
    effects = {p.service_id: _effect(after, p, was_off[p.service_id]) for p in after.products}
    if len(set(effects.values())) == 1:
        return next(iter(effects.values()))
    return "; ".join(f"{service_id}: {effect}" for service_id, effect in effects.items())


def what_happens_to(situation: ClientSituation, service_id: str) -> str:
    """What happens to one product after it was entered, in one sentence."""
    if not situation.account.profile.has_voip_service:
        return "nothing is switched: the client has no VoIP service"
    product = next(p for p in situation.products if p.service_id == service_id)
    if situation.account.mode == "shadow":
        holds = holds_of(situation, product)
        would = f"would be off: {_sentence(situation, holds)}" if holds else "would be on"
        return f"shadow mode: nothing is switched; {would}"
    effect = _effect(situation, product, product.off)
    why = _sentence(situation, holds_of(situation, product))
    return f"{effect}: {why}" if effect.startswith("switched off") else effect


def _off_before(after: ClientSituation, before: ClientSituation | None) -> dict[str, bool]:
    """Which products were off or about to be before the change.

    The holds before the change count in addition to what the suspender shows, which may not have
    read the latest orders yet.
    """
    live = before is not None and before.account.mode == "live"
    held_before = (
        {p.service_id for p in before.products if holds_of(before, p)} if before and live else set()
    )
    braked = after.funds.braked
    return {
        p.service_id: p.off or (p.service_id in held_before and not braked) for p in after.products
    }


def _effect(situation: ClientSituation, product: ProductState, was_off: bool) -> str:
    holds = holds_of(situation, product)
    if holds and was_off:
        back = ends_when(situation, product)
        return f"stays off: {_sentence(situation, holds)}; brought back by {back}"
    if holds and situation.funds.braked and {hold.kind for hold in holds} == {"funds"}:
        return f"stays on while the brake is on: {_sentence(situation, holds)}"
    if holds:
        ends = any(hold.order is not None and hold.order.hang_up for hold in holds)
        calls = ", and its calls in progress are ended" if ends else ""
        return f"switched off within seconds{calls}"
    if was_off:
        return "switched on within seconds"
    return f"stays on{_exempt_words(situation, product)}"


def _exempt_words(situation: ClientSituation, product: ProductState) -> str:
    if not (situation.funds.held and product.prepaid):
        return ""
    exemptions = [o for o in _orders_of(situation, product.service_id) if o.kind == "exemption"]
    given = f": {order_words(exemptions[0], with_reason=False)}" if exemptions else ""
    return f"{given}, though {funds_words(situation, 'sentence')}" if given else ""


def _sentence(situation: ClientSituation, holds: Iterable[ActiveHold]) -> str:
    return "; ".join(_hold_words(situation, hold, "sentence") for hold in holds)


def _in_shadow(after: ClientSituation, before: ClientSituation | None) -> str:
    held = [product for product in after.products if holds_of(after, product)]
    would = f"would be off: {_sentence(after, _holds(after))}" if held else "would be on"
    was_live = before is not None and before.account.mode == "live"
    off = [product for product in after.products if product.off]
    if was_live and off and after.account.leave_off:
        return f"shadow mode: what was switched off stays off; {would}"
    if was_live and off:
        return f"shadow mode: what was switched off is switched on within seconds; {would}"
    return f"shadow mode: nothing is switched; {would}"


@dataclass(frozen=True)
class SwitchStatus:
    """The switching state of a product as the suspender shows it.

    `desired` follows from its holds. `confirmed` is the state last read back from the PBX, None
    before the first time. It is not `proven` where the server accepted the command and cannot be
    read back. `emergency` says what happens to emergency calls while the product is off;
    `ended_calls` counts the calls that were ended when it was switched off.
    """

    service_id: str
    desired: str | None
    confirmed: str | None
    switching: bool
    since: datetime | None
    attempts: int = 0
    last_error: str = ""
    proven: bool = True
    ended_calls: int = 0
    emergency: str = ""


NOT_PROVEN = "asked, not proven: its server cannot be read back"


def line_words(situation: ClientSituation, product: ProductState, line: SwitchStatus) -> str:
    """Why one product is on or off."""
    if not situation.account.profile.has_voip_service:
        return "left alone: has no VoIP service"
    holds = holds_of(situation, product)
    why = "; ".join(_hold_words(situation, hold, "list") for hold in holds)
    if situation.account.mode == "shadow":
        return f"would be off: {why}" if why else "would be on"
    if line.switching:
        trouble = f" ({line.attempts} attempts: {line.last_error})" if line.last_error else ""
        way = "off" if why else "on"
        return f"is being switched {way}{trouble}{f': {why}' if why else ''}"
    if line.confirmed == "suspended":
        since = f" since {shown_instant(line.since)}" if line.since else ""
        return "; ".join((f"off{since}: {why or 'to be switched on'}", *_while_off(line)))
    if holds and situation.funds.braked and {hold.kind for hold in holds} == {"funds"}:
        return f"on while the brake is on: {why}"
    if holds:
        return f"to be switched off: {why}"
    doubt = f"; {NOT_PROVEN}" if line.confirmed and not line.proven else ""
    return f"on{_exempt_words(situation, product)}{doubt}"


def _while_off(line: SwitchStatus) -> Iterable[str]:
    """Remarks on a product that is off."""
    if not line.proven:
        yield NOT_PROVEN
    if line.ended_calls:
        yield (
            "1 call was ended" if line.ended_calls == 1 else f"{line.ended_calls} calls were ended"
        )
    if line.emergency:
        yield line.emergency


def explanation(situation: ClientSituation, state: str, would: str | None) -> list[str]:
    """Why the client is on or off: sentences, the most important one first."""
    account = situation.account
    name, why, back = account.account_id, reason(situation), brings_back(situation)
    sentences = [_state_words(name, state, why)]
    if account.mode == "shadow":
        sentences.append(f"It is in shadow mode: nothing is switched; it would be {would or 'on'}.")
        if would == "off":
            sentences.append(f"It would be off: {why}.")
    if back and (state != "on" or would == "off"):
        sentences.append(f"What brings it back: {back}.")
    sentences += [f"In force: {order_words(o)}." for o in _exemptions(situation)]
    sentences += _funds_sentences(situation)
    return [sentence for sentence in sentences if sentence]


def _state_words(name: str, state: str, why: str) -> str:
    because = f": {why}" if why else ""
    return {
        "no-service": f"{name} has no VoIP service that could be switched.",
        "off": f"{name} is off{because}.",
        "switching": f"{name} is being switched{because}.",
        "failed": f"{name} could not be switched as it should be{because}.",
        "on": f"{name} is on.",
    }[state]


def _exemptions(situation: ClientSituation) -> Sequence[ClientOrder]:
    orders = in_force(situation.account.orders, situation.now)
    return [order for order in orders if order.kind == "exemption"]


def _funds_sentences(situation: ClientSituation) -> list[str]:
    account, funds = situation.account, situation.funds
    if funds.balance_micro is None:
        return ["Nothing was posted to it yet: its funds decide nothing until then."]
    unit = account.currency
    parts = [f"Balance {format_micro(funds.balance_micro)} {unit}"]
    parts.append(f"unpaid invoices {format_micro(account.outstanding_micro)} {unit}")
    if account.credit_limit_micro:
        parts.append(f"credit limit {format_micro(account.credit_limit_micro)} {unit}")
    held = "the funds hold is on" if funds.held else "the funds hold is off"
    braked = "; the brake is on: funds holds cut nobody" if funds.braked else ""
    return [f"{', '.join(parts)}; {held}{braked}."]

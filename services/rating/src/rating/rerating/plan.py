"""What charged calls would have cost by another tariff version.

Only the version changes. Number, markup, time band, the package's amounts for a call and custom
rate are those of the old charge. What the old charge does not contain (an amount of a call that was
free of charge, or that its row set, the custom rate for a row that had none) is taken from the
product's current package. Free seconds are allocated again, in the ledger's order, from what the
calls had and what is left of the period: those of the bundle that the call used, or, if it used
none, of that which the current package has for its number. So a version with the same rates changes
nothing.

Pure: without clock, socket, database or logger.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from rating.ledger import Posting
from rating.posting.records import FreeKey
from rating.pricing.billing_period import parse_instant, period_of
from rating.pricing.call_time import plausible_answer
from rating.pricing.free_bundles import NATIONAL
from rating.pricing.number import number_of_charge
from rating.pricing.package_terms import package_terms
from rating.pricing.price import CallFees
from rating.pricing.rate_call import (
    LONGEST_INSIDE,
    PricedCall,
    Rated,
    Unrated,
    band_member,
    price_by,
    row_of_short_code,
)
from rating.pricing.tariff import TariffVersion
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import AccountChanged, Package
from ringfence_contracts.ids import derive
from ringfence_contracts.money import parse_decimal


class RerateOrder(NamedTuple):
    """What to re-rate: charges of a tariff for calls answered from `from_text` on and before
    `to_text`. Without an offset, both are read in each account's own time zone.
    """

    tariff_id: str
    version_id: int
    from_text: str
    to_text: str
    account_id: str | None = None

    def span(self, zone: str) -> tuple[datetime, datetime]:
        """The period as instants, for an account in that zone. Raises BadInput."""
        start = parse_instant("from", self.from_text, zone)
        end = parse_instant("to", self.to_text, zone)
        if end <= start:
            raise BadInput("to", self.to_text, f"an instant after {self.from_text}")
        return start, end


class LiveCharge(NamedTuple):
    """A charge of a call that is not reversed; `details` is its entry's explanation, parsed."""

    entry_id: UUID
    call_id: UUID
    amount_micro: int
    occurred_at: datetime
    input_hash: bytes
    details: dict[str, Any]

    @property
    def explanation(self) -> Mapping[str, Any]:
        """How the charge was priced."""
        explained: Mapping[str, Any] = self.details["explanation"]
        return explained

    @property
    def answered_at(self) -> datetime:
        """When the call was answered, by the rule that rating uses."""
        started = datetime.fromisoformat(self.details["started_at"])
        text = self.details.get("answered_at")
        answered = datetime.fromisoformat(text) if text else None
        return plausible_answer(started, answered, self.occurred_at)


class RerateChange(NamedTuple):
    """A call's charge and what replaces it."""

    charged: LiveCharge
    amount_micro: int
    details: dict[str, Any]
    free_key: FreeKey
    free_difference_s: int

    @property
    def difference_micro(self) -> int:
        """The credit to the account; negative if it pays more."""
        return self.amount_micro - self.charged.amount_micro


@dataclass
class ReratePlan:
    """What re-rating changes on one account; `unchanged` counts the reasons to keep charges.

    The `examined` charges cost `charged_micro` before.
    """

    account_id: str
    currency: str
    examined: int = 0
    charged_micro: int = 0
    changes: list[RerateChange] = field(default_factory=list)
    unchanged: Counter[str] = field(default_factory=Counter)

    @property
    def difference_micro(self) -> int:
        """The credit to the account; negative if it pays more."""
        return sum(change.difference_micro for change in self.changes)


def plan(
    account: AccountChanged,
    charges: Sequence[LiveCharge],
    version: TariffVersion,
    free_used: Mapping[FreeKey, int],
    run_id: UUID,
) -> ReratePlan:
    """Price an account's charges by `version`; `free_used` has each period's used free seconds."""
    planned = ReratePlan(account.account_id, account.currency, len(charges), cost_of(charges))
    priced: list[tuple[LiveCharge, PricedCall, FreeKey]] = []
    for charged in charges:
        again = _price_again(account, charged, version)
        if isinstance(again, PricedCall):
            if charged.details["free_s"] and again.terms.takes_free_seconds:
                again.bundle = _bundle_used(charged)
            if time_band := charged.explanation.get("time_band"):
                again.further = band_member(time_band)
            priced.append((charged, again, _free_key(account, charged, again)))
        else:
            planned.unchanged[again.detail] += 1
    left = _free_seconds(account, priced, free_used)
    for charged, again, key in priced:
        rated = again.charge(left[key])
        left[key] -= rated.free_s
        free_difference_s = rated.free_s - charged.details["free_s"]
        if rated.cost_micro != -charged.amount_micro or free_difference_s:
            details = _rerated_details(charged, rated, run_id)
            planned.changes.append(
                RerateChange(charged, -rated.cost_micro, details, key, free_difference_s)
            )
    return planned


def cost_of(charges: Iterable[LiveCharge]) -> int:
    """What charges cost together, in micro-units."""
    return -sum(charged.amount_micro for charged in charges)


def free_keys(account: AccountChanged, charges: Iterable[LiveCharge]) -> set[FreeKey]:
    """The accounts, products, periods and bundles whose free seconds these charges may use."""
    names = {service_id: tuple(granted) for service_id, granted in _granted_s(account).items()}
    keys = set()
    for charged in charges:
        service_id = charged.details["service_id"]
        period = period_of(charged.answered_at, account.time_zone)
        for name in (_bundle_used(charged), *names.get(service_id, ())):
            keys.add((account.account_id, service_id, period, name))
    return keys


def _bundle_used(charged: LiveCharge) -> str:
    """The bundle whose free seconds a charge used: the national one unless it names another."""
    return str(charged.explanation.get("bundle", NATIONAL))


def _free_key(account: AccountChanged, charged: LiveCharge, again: PricedCall) -> FreeKey:
    """Whose free seconds a charge had; if it had none, whose it may use."""
    period = period_of(charged.answered_at, account.time_zone)
    bundle = _bundle_used(charged) if charged.details["free_s"] else again.bundle or NATIONAL
    return account.account_id, charged.details["service_id"], period, bundle


def _granted_s(account: AccountChanged) -> dict[str, dict[str, int]]:
    """The free seconds of a period by product and bundle."""
    return {
        s.service_id: package_terms(s.package, s.flat_rate).free.granted_s for s in account.services
    }


def in_scope(
    charged: LiveCharge, tariff_id: str, span: tuple[datetime, datetime], run_id: UUID
) -> bool:
    """Whether a charge has that tariff and period, and was not made by this run."""
    explanation = charged.explanation
    if explanation.get("tariff_id") != tariff_id:
        return False
    made_by = explanation.get("rerated", {}).get("run_id")
    return span[0] <= charged.answered_at < span[1] and made_by != str(run_id)


def reversal_of(charged: LiveCharge, account_id: str, run_id: UUID, charge_id: UUID) -> Posting:
    """The reversal of a charge. Its id follows from the charge's, so nothing is reversed twice."""
    return Posting(
        entry_id=derive("reversal", charged.entry_id),
        account_id=account_id,
        kind="reversal",
        amount_micro=-charged.amount_micro,
        cause_id=charged.call_id,
        occurred_at=charged.occurred_at,
        input_hash=charged.input_hash,
        explanation=_json({"rerated": {"run_id": run_id, "replaced_by": charge_id}}),
        reverses=charged.entry_id,
    )


def charge_of(change: RerateChange, account_id: str, charge_id: UUID) -> Posting:
    """The charge that replaces the reversed one."""
    charged = change.charged
    return Posting(
        entry_id=charge_id,
        account_id=account_id,
        kind="charge",
        amount_micro=change.amount_micro,
        cause_id=charged.call_id,
        occurred_at=charged.occurred_at,
        input_hash=charged.input_hash,
        explanation=_json(change.details),
    )


def undo(charged: LiveCharge, original: LiveCharge, key: FreeKey, run_id: UUID) -> RerateChange:
    """The change that replaces the run's charge with the original one."""
    rerated = {"run_id": str(run_id), "replaces": str(charged.entry_id), "undone": True}
    details = {**original.details, "explanation": {**original.explanation, "rerated": rerated}}
    free_difference_s = original.details["free_s"] - charged.details["free_s"]
    return RerateChange(charged, original.amount_micro, details, key, free_difference_s)


def _price_again(
    account: AccountChanged, charged: LiveCharge, version: TariffVersion
) -> PricedCall | Unrated:
    explanation, details = charged.explanation, charged.details
    services = (s for s in account.services if s.service_id == details["service_id"])
    present = next((service.package for service in services), None)
    if version.currency != account.currency:
        detail = f"the version is in {version.currency}, the account in {account.currency}"
        return Unrated("currency-mismatch", detail)
    terms = package_terms(_as_charged(present, version.tariff_id, *_charged_terms(explanation)))
    digits = str(explanation["number"])
    is_short = len(digits) <= (LONGEST_INSIDE if explanation.get("prefix") == digits else 5)
    number = number_of_charge(
        digits, explanation["international"], bool(explanation.get("premium")), is_short
    )
    code = terms.numbers.country_code
    found = row_of_short_code(number, version, code) if is_short else None
    if is_short and found is None:
        return Unrated("no-matching-prefix", f"no row names exactly {digits}")
    return price_by(number, details["billsec"], terms, version, found)


def _charged_terms(explanation: Mapping[str, Any]) -> tuple[str, str, str, str, CallFees]:
    return (
        explanation["rate_from"],
        explanation["rate_per_min"],
        explanation["increment"],
        explanation["markup_percent"],
        CallFees.of_explanation(explanation),
    )


@lru_cache(maxsize=4096)
def _as_charged(
    present: Package | None, tariff_id: str, rate_from: str, rate: str, increment: str,
    markup: str, fees: CallFees,
) -> Package:  # fmt: skip
    """The current package, with what the charge's explanation contains of the former one."""
    package = present or Package(tariff_id=tariff_id)
    known: dict[str, str | None] = {}
    if rate_from == "tariff":
        known["markup_percent"] = markup
    else:
        known |= {"custom_outbound_rate": rate, "custom_outbound_increment": increment}
    if parse_decimal(rate, "rate_per_min"):
        known |= fees.of_their_package()
    return package.model_copy(update=known)


def _free_seconds(
    account: AccountChanged,
    priced: Iterable[tuple[LiveCharge, PricedCall, FreeKey]],
    free_used: Mapping[FreeKey, int],
) -> dict[FreeKey, int]:
    """The free seconds to allocate: those that these calls had, and what their period has left."""
    granted_s = _granted_s(account)
    had: Counter[FreeKey] = Counter()
    for charged, _, key in priced:
        had[key] += charged.details["free_s"]
    return {
        key: had_s + max(0, granted_s.get(key[1], {}).get(key[3], 0) - free_used.get(key, 0))
        for key, had_s in had.items()
    }


def _rerated_details(charged: LiveCharge, rated: Rated, run_id: UUID) -> dict[str, Any]:
    rerated = {"run_id": str(run_id), "replaces": str(charged.entry_id)}
    return {
        **charged.details,
        "billed_s": rated.billed_s,
        "free_s": rated.free_s,
        "explanation": {**rated.explanation, "rerated": rerated},
    }


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()

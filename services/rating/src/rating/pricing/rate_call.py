"""Rates a matched call: the outcome is rated, not billed or unrated, each with its reason.

The order is that of domain/billing, sections 4 to 6: number, filters, then direction and rate.

1. It ended before the product's bill-from instant: not billed.
   A leg that its outbound call pays for: not billed.
2. A filter hides it: not billed, and not shown to the client.
3. It was not answered: not billed.
4. A filter excludes it: not billed.
5. It is local, by its direction or, unless it is inbound, by its number (feature code, extension):
   not billed. A local call to a number outside the tenant is unrated: the PBX is wrong about one of
   the two.
6. It has no direction: unrated.
7. It is inbound: rated by the package's inbound rate of its DID, else by that for any number.
8. It is outbound: rated by the longest prefix of the tariff in force when the call was answered, or
   by the product's flat rate. A time band of the package may name another tariff or markup for
   that instant; a flat rate is the same at all times.

Where the rules leave a choice: an outbound short code (911, 411; 116123 under +44) that a tariff
row names exactly is rated by this row, unless a product of its tenant lists it as an extension. Of
other short numbers only a row at 0 is used, and costs nothing: a row 1204 is Manitoba, and 1204 an
extension. A dialled code with seven digits or more behind it is a call (`*67` and a number); one
that is not inbound waits in the unrated queue until `strip_prefix` is set, because it would be free
otherwise. A call with talk time and no recorded time of answer was answered when it started.

`price_call` does all that needs no running total; `PricedCall.charge` does the rest. The calls of
one account go through `charge` in order, because they share its free seconds.
"""

from datetime import datetime
from typing import Literal, NamedTuple, final

import orjson

from rating.pricing.call_filter import CallFilter
from rating.pricing.call_time import answered_at
from rating.pricing.number import DialledNumber
from rating.pricing.package_terms import PackageTerms
from rating.pricing.price import Misconfigured, PriceTerms
from rating.pricing.product_match import Match
from rating.pricing.tariff import BLOCKED, TARIFF_RATE, PrefixMatch, TariffVersion, TariffVersions
from ringfence.numbers.facts import DATA_VERSION, is_short_code
from ringfence_contracts.events.call import CallCompleted
from ringfence_contracts.events.model import Explanation

NotBilledReason = Literal[
    "before-bill-from",
    "filter-hidden",
    "unanswered",
    "filter-not-billed",
    "local",
    "feature-code",
    "extension",
    "inbound-not-enabled",
    "part-of-call",
]
UnratedReason = Literal[
    "unknown-product",
    "ambiguous-product",
    "unknown-direction",
    "no-tariff-in-force",
    "no-matching-prefix",
    "currency-mismatch",
    "invalid-number",
]

RateFrom = Literal["tariff", "custom-outbound", "custom-inbound", "inbound-did", "flat"]

LONGEST_CODE = 7
"""Characters of the longest dialled code: the `*` and six digits."""

LONGEST_INSIDE = 7
"""Digits of the longest number that a PBX may use within a tenant, as a ring group's, say."""


_DETAILS = {"before-bill-from": "bill_from", "part-of-call": "why"}


class NotBilled(NamedTuple):
    """The call costs nothing, by the rule `reason`; the client does not see a `hidden` one."""

    reason: NotBilledReason
    hidden: bool
    number: str
    detail: str = ""

    @property
    def explanation(self) -> Explanation:
        """Why the call is not billed; `detail` is the filter's pattern, the bill-from instant or
        why the leg is part of another call.
        """
        explained: Explanation = {"number": self.number, "not_billed": self.reason}
        if self.detail:
            name = _DETAILS.get(self.reason, "pattern")
            explained[name] = self.detail
        return explained

    def explanation_json(self) -> str:
        """The explanation as JSON."""
        return orjson.dumps(self.explanation).decode()


class Unrated(NamedTuple):
    """The call cannot be priced by the current settings; it waits for an operator.

    `cause` is the decision about a leg that waits (see `CallUnrated`).
    """

    reason: UnratedReason
    detail: str
    cause: str = ""


@final
class PricedCall:
    """A call with its price; only the number of free seconds left is missing.

    `bundle` names the package's bundle whose free seconds it may use; None: it uses none. `further`
    has what else decided the price, as members of the explanation, each after a comma.
    """

    __slots__ = (
        "billsec", "bundle", "found", "further", "number", "rate_from", "terms", "version",
    )  # fmt: skip

    def __init__(
        self,
        number: DialledNumber,
        billsec: int,
        terms: PriceTerms,
        found: PrefixMatch | None,
        version: TariffVersion | None,
        bundle: str | None,
        rate_from: RateFrom,
        further: str = "",
    ) -> None:
        self.number = number
        self.billsec = billsec
        self.terms = terms
        self.found = found
        self.version = version
        self.bundle = bundle
        self.rate_from = rate_from
        self.further = further

    def leave_out(self, paid_s: int) -> None:
        """Price only what the charge of another call for the first `paid_s` seconds leaves."""
        self.billsec = max(0, self.billsec - self.terms.billed_seconds(paid_s))

    def charge(self, free_seconds_left: int = 0) -> "Rated":
        """Price the call; `free_seconds_left` are those of its bundle, unused if it has none."""
        free_left = 0 if self.bundle is None else free_seconds_left
        billed_s, free_s, cost_micro = self.terms.charge(self.billsec, free_left)
        return Rated(cost_micro, billed_s, free_s, self)


@final
class Rated:
    """What the call costs, in micro-units; may be zero."""

    __slots__ = ("billed_s", "cost_micro", "free_s", "priced")

    def __init__(self, cost_micro: int, billed_s: int, free_s: int, priced: PricedCall) -> None:
        self.cost_micro = cost_micro
        self.billed_s = billed_s
        self.free_s = free_s
        self.priced = priced

    @property
    def number(self) -> str:
        """The number that was rated, normalised."""
        return self.priced.number.digits

    @property
    def explanation(self) -> Explanation:
        """Why the call costs what it does, as plain values."""
        read: Explanation = orjson.loads(self.explanation_json())
        return read

    def explanation_json(self) -> str:
        """The explanation as JSON, formatted by hand: it takes a tenth of a call's time."""
        priced = self.priced
        number = priced.number
        return (
            f'{{"number":{as_text(number.digits)}'
            f',"dialled":{as_text(number.dialled)}'
            f',"international":{"true" if number.international else "false"}'
            f"{_PREMIUM if number.premium else ''}{_NUMBER_DATA}"
            f",{_row_members(priced.found)},{_version_members(priced.version)}"
            f',"rate_from":"{priced.rate_from}",{priced.terms.json_members}'
            f',"billed_s":{self.billed_s},"free_s":{self.free_s}'
            f"{_bundle_member(priced.bundle) if self.free_s else ''}{priced.further}}}"
        )


_NUMBER_DATA = f',"number_data":"{DATA_VERSION}"'
_PREMIUM = ',"premium":true'


def _row_members(found: PrefixMatch | None) -> str:
    if found is None:
        return '"prefix":null,"description":null'
    return f'"prefix":"{found.prefix}","description":{as_json(found.description)}'


def _bundle_member(bundle: str | None) -> str:
    """The bundle that gave the free seconds; charges from before there were several have none."""
    return f',"bundle":{as_json(bundle)}' if bundle else ""


def band_member(time_band: str) -> str:
    """The time band whose terms priced the call."""
    return f',"time_band":{as_json(time_band)}'


def _version_members(version: TariffVersion | None) -> str:
    if version is None:
        return '"tariff_id":null,"tariff_version":null'
    return f'"tariff_id":"{version.tariff_id}","tariff_version":{version.version_id}'


def as_text(text: str) -> str:
    """A text as JSON, with its quotes. Most texts are digits, in which nothing is escaped."""
    return f'"{text}"' if text.isascii() and text.isalnum() else as_json(text)


def as_json(value: str | datetime | None) -> str:
    """A value as JSON."""
    return orjson.dumps(value).decode()


RatingOutcome = Rated | NotBilled | Unrated


def rate_call(
    call: CallCompleted, match: Match, versions: TariffVersions, free_seconds_left: int = 0
) -> RatingOutcome:
    """Rate one call of a known product; `free_seconds_left` of its bundle and billing period."""
    priced = price_call(call, match, versions)
    return priced.charge(free_seconds_left) if isinstance(priced, PricedCall) else priced


def price_call(
    call: CallCompleted, match: Match, versions: TariffVersions
) -> PricedCall | NotBilled | Unrated:
    """Price a call as far as this does not depend on the account's calls before it."""
    priced = _price_call(call, match, versions)
    if call.paid_s and isinstance(priced, PricedCall):
        priced.leave_out(call.paid_s)
    return priced


def _price_call(
    call: CallCompleted, match: Match, versions: TariffVersions
) -> PricedCall | NotBilled | Unrated:
    terms = match.terms
    number = terms.numbers.read(written_number(call))
    bill_from = match.service.bill_from
    if bill_from is not None and call.ended_at < bill_from:
        return NotBilled("before-bill-from", False, number.digits, bill_from.isoformat())
    if call.leg_decision == "part-of-call":
        return NotBilled("part-of-call", False, number.digits, call.leg_detail)
    if isinstance(terms.filters, Misconfigured):
        return Unrated("no-tariff-in-force", terms.filters.detail)
    excluded = _excluded(call, number, terms.filters)
    if excluded is not None:
        return excluded
    if call.direction == "local":
        return _stayed_inside(call, number, match)
    if call.direction == "outbound":
        if terms.flat is not None:
            return _outbound_flat(call, number, terms, terms.flat)
        return _outbound(call, number, match, versions)
    if call.direction == "inbound":
        return _inbound(call, number, match, versions)
    return _local(number) or Unrated(
        "unknown-direction", "the PBX recorded no direction for this call"
    )


def billed_number(call: CallCompleted) -> str:
    """The number that a call is billed on, as its PBX wrote it: what was dialled."""
    if call.direction == "inbound":
        return call.caller_destination or call.destination_number
    return call.destination_number


def written_number(call: CallCompleted) -> str:
    """As `billed_number`, with the `+` that its reader knows of and its PBX's own record loses."""
    number = billed_number(call)
    return number if call.direction == "inbound" else call.lost_prefix + number


def _excluded(call: CallCompleted, number: DialledNumber, filters: CallFilter) -> NotBilled | None:
    hit = filters.check(number, call.direction)
    if hit is not None and hit.effect == "hide":
        return NotBilled("filter-hidden", True, number.digits, hit.pattern)
    if call.billsec == 0:
        return NotBilled("unanswered", False, number.digits)
    if hit is not None:
        return NotBilled("filter-not-billed", False, number.digits, hit.pattern)
    return None


def _stayed_inside(call: CallCompleted, number: DialledNumber, match: Match) -> NotBilled | Unrated:
    """A call that the PBX calls local: free within its tenant, else the PBX is wrong."""
    if number.kind == "feature-code" and len(number.digits) > LONGEST_CODE:
        return Unrated("invalid-number", _CODE_AND_NUMBER)
    outside = number.kind == "e164" or (number.kind == "invalid" and _is_long(number.digits))
    if outside and not match.tenant_has_did(call.destination_number, number.digits):
        detail = (
            f"the PBX calls it local, but {number.digits} is no number of the tenant's products"
        )
        return Unrated("unknown-direction", detail)
    return NotBilled("local", False, number.digits)


def _is_long(written: str) -> bool:
    """Whether a number without a reading is too long for one within a tenant."""
    return sum("0" <= char <= "9" for char in written) > LONGEST_INSIDE


def _local(number: DialledNumber) -> NotBilled | None:
    if number.kind == "feature-code":
        return NotBilled("feature-code", False, number.digits)
    if number.kind == "extension":
        return NotBilled("extension", False, number.digits)
    return None


def _inbound(
    call: CallCompleted, number: DialledNumber, match: Match, versions: TariffVersions
) -> PricedCall | NotBilled | Unrated:
    if not match.terms.inbound_enabled:
        return NotBilled("inbound-not-enabled", False, number.digits)
    version = _version_in_force(call, match.terms, versions)
    if version is not None and version.currency != match.currency:
        return _currency_mismatch(version, match)
    inbound, row, further = match.terms.inbound, None, ""
    if match.terms.did_prices is not None:
        inbound, row, is_from_payphone = match.terms.did_prices.of(number, call.ani_ii)
        further = f',"ani_ii":"{call.ani_ii}"' if is_from_payphone else ""
    if isinstance(inbound, Misconfigured):
        return Unrated("no-tariff-in-force", inbound.detail)
    if row is not None:
        return PricedCall(number, call.billsec, inbound, row, None, None, "inbound-did", further)
    package = match.service.package
    is_custom = package is not None and package.custom_inbound_rate is not None
    rate_from: RateFrom = "custom-inbound" if is_custom else "flat"
    return PricedCall(number, call.billsec, inbound, None, None, None, rate_from, further)


def _outbound_flat(
    call: CallCompleted,
    number: DialledNumber,
    package: PackageTerms,
    flat: PriceTerms | Misconfigured,
) -> PricedCall | NotBilled | Unrated:
    refusal = _not_a_destination(number)
    if refusal is not None:
        return refusal
    if isinstance(flat, Misconfigured):
        return Unrated("no-tariff-in-force", flat.detail)
    bundle = package.free.bundle_of(number)
    return PricedCall(number, call.billsec, flat, None, None, bundle, "flat")


def _outbound(
    call: CallCompleted, number: DialledNumber, match: Match, versions: TariffVersions
) -> PricedCall | NotBilled | Unrated:
    terms = match.terms.at(answered_at(call), match.time_zone)
    version = _version_in_force(call, terms, versions)
    found = None
    if number.kind != "e164":
        country_code = terms.numbers.country_code
        if not match.tenant_has_extension(number.digits):
            found = row_of_short_code(number, version, country_code)
        refusal = None if found else _not_a_destination(number)
        if refusal is not None:
            return refusal
    if version is None:
        return Unrated("no-tariff-in-force", _no_version(call, terms))
    if version.currency != match.currency:
        return _currency_mismatch(version, match)
    return price_by(number, call.billsec, terms, version, found)


def price_by(
    number: DialledNumber,
    billsec: int,
    package: PackageTerms,
    version: TariffVersion,
    found: PrefixMatch | None = None,
) -> PricedCall | Unrated:
    """The price of an outbound number by a tariff version: its longest prefix, unless `found`."""
    found = found or version.deck.longest_prefix(number.digits)
    if found is None or len(found.prefix) < number.least_prefix:
        detail = f"tariff {version.tariff_id} version {version.version_id} has no prefix of "
        return Unrated("no-matching-prefix", detail + number.digits)
    if found.rate.status == BLOCKED:
        return _blocked(found, version)
    terms = package.outbound(found.rate)
    if isinstance(terms, Misconfigured):
        return Unrated("no-tariff-in-force", f"prefix {found.prefix}: {terms.detail}")
    bundle = package.free.bundle_of(number) if terms.takes_free_seconds else None
    rate_from: RateFrom = "tariff" if found.rate.status == TARIFF_RATE else "custom-outbound"
    further = band_member(package.time_band) if package.time_band else ""
    return PricedCall(number, billsec, terms, found, version, bundle, rate_from, further)


def _blocked(found: PrefixMatch, version: TariffVersion) -> Unrated:
    """A call that the deck says cannot be made: it was made, so somebody owes the carrier for it.

    It has no reason of its own, because the reasons of the contract are a closed set.
    """
    detail = (
        f"prefix {found.prefix} {found.description}".rstrip() + f" is blocked in tariff"
        f" {version.tariff_id} version {version.version_id}: price it there, or drop the call"
    )
    return Unrated("no-matching-prefix", detail)


_CODE_AND_NUMBER = "a dialled code with a number behind it: set strip_prefix to the code"


def _not_a_destination(number: DialledNumber) -> NotBilled | Unrated | None:
    """Why an outbound number is not looked up in a tariff; None if it is."""
    if number.kind == "invalid":
        return Unrated("invalid-number", number.why)
    if number.kind == "feature-code" and len(number.digits) > LONGEST_CODE:
        return Unrated("invalid-number", _CODE_AND_NUMBER)
    return _local(number)


def row_of_short_code(
    number: DialledNumber, version: TariffVersion | None, country_code: str
) -> PrefixMatch | None:
    """The row of a rate of its own, or blocked, whose prefix is exactly this short number.

    A row that is blocked, or has a rate other than 0, does so for the country's short codes only.
    """
    digits = number.digits
    if version is None or number.kind == "feature-code":
        return None
    found = version.deck.exactly(digits)
    if found is None or found.rate.status not in (TARIFF_RATE, BLOCKED):
        return None
    at_zero = found.rate.is_zero and found.rate.status == TARIFF_RATE
    if at_zero and number.kind == "extension":
        return found
    return found if digits.isdigit() and is_short_code(digits, country_code) else None


def _version_in_force(
    call: CallCompleted, terms: PackageTerms, versions: TariffVersions
) -> TariffVersion | None:
    if terms.tariff_id is None:
        return None
    return versions.in_force(terms.tariff_id, answered_at(call))


def _no_version(call: CallCompleted, terms: PackageTerms) -> str:
    if terms.tariff_id is None:
        return "the product has no package"
    return f"tariff {terms.tariff_id} has no version in force at {answered_at(call).isoformat()}"


def _currency_mismatch(version: TariffVersion, match: Match) -> Unrated:
    detail = f"tariff {version.tariff_id} is in {version.currency}, the account in {match.currency}"
    return Unrated("currency-mismatch", detail)

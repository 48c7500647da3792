"""The accounts, products and tariffs by which calls are matched and priced, in memory. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rating.posting.records import FreeKey
from rating.pricing.billing_period import period_of
from rating.pricing.call_time import answered_at
from rating.pricing.free_bundles import NATIONAL
from rating.pricing.package_terms import PackageTerms, package_terms
from rating.pricing.price import PriceTerms
from rating.pricing.product_match import Ambiguous, Match, ProductIndex
from rating.pricing.rate_call import NotBilled, PricedCall, Unrated, price_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from ringfence_contracts.events.account import AccountChanged, Service
from ringfence_contracts.events.call import CallCompleted

_KNOWN_DEAREST = 1000

WAITING_LEGS = ("waits-for-leg", "leg-without-call")
"""The decisions by which a leg is not charged yet."""


class ReferenceData:
    """Accounts with their products, and tariff versions, as they were last put in."""

    def __init__(self) -> None:
        self._accounts: dict[str, AccountChanged] = {}
        self._products = ProductIndex()
        self._tariffs = TariffVersions()
        self._dearest: dict[tuple[int, PackageTerms], int] = {}

    def put_account(self, account: AccountChanged) -> bool:
        """Replace what is known of an account; whether it differs from what was known."""
        differs = self._accounts.get(account.account_id) != account
        self._accounts[account.account_id] = account
        self._products.replace(account)
        return differs

    def put_tariff(self, version: TariffVersion) -> None:
        """Add a tariff version."""
        self._tariffs.add(version)

    def match(self, call: CallCompleted) -> Match | Unrated:
        """The product that a call belongs to, or why none can be named."""
        if call.leg_decision in WAITING_LEGS:
            return Unrated("unknown-product", call.leg_detail, call.leg_decision)
        found = self._products.match(call)
        if isinstance(found, Match):
            return found
        if isinstance(found, Ambiguous):
            return Unrated("ambiguous-product", found.detail)
        return Unrated("unknown-product", found.detail)

    def price(self, call: CallCompleted, match: Match) -> PricedCall | NotBilled | Unrated:
        """The price of a call of this product, without its free seconds."""
        return price_call(call, match, self._tariffs)

    def free_key(self, call: CallCompleted, match: Match) -> FreeKey | None:
        """Whose free seconds of which billing period a call may use; None if it has none.

        The key has the national bundle: the call's own is known with its price.
        """
        if not match.terms.free.granted_s:
            return None
        period = period_of(answered_at(call), match.time_zone)
        return match.account_id, match.service_id, period, NATIONAL

    def client_names(self, account_ids: Iterable[str]) -> dict[str, str]:
        """These clients' names, by account; accounts that are not known here are missing."""
        clients = {a: self._accounts[a].client for a in account_ids if a in self._accounts}
        return {
            account_id: c.company_name or f"{c.first_name} {c.last_name}".strip()
            for account_id, c in clients.items()
        }

    def is_prepaid(self, account_id: str, service_id: str) -> bool:
        """Whether credit limits this product; a product that is not known is metered."""
        service = self._service(account_id, service_id)
        return service is not None and service.prepaid

    def dearest_micro(
        self, account_id: str, service_id: str, talk_s: int, at: datetime
    ) -> int | None:
        """What this much talk costs by a product's dearest rate in force; None if unknown."""
        service = self._service(account_id, service_id)
        if service is None:
            return None
        terms = package_terms(service.package, service.flat_rate)
        if isinstance(terms.flat, PriceTerms):
            return terms.flat.charge(talk_s, 0)[2]
        dearest = [self._dearest_hour_micro(each, at) for each in terms.at_any_time()]
        known = [hour_micro for hour_micro in dearest if hour_micro is not None]
        return -(-talk_s * max(known) // 3600) if known else None

    def _dearest_hour_micro(self, terms: PackageTerms, at: datetime) -> int | None:
        if terms.tariff_id is None:
            return None
        version = self._tariffs.in_force(terms.tariff_id, at)
        if version is None:
            return None
        hour_micro = self._dearest.get((version.version_id, terms))
        if hour_micro is None:
            if len(self._dearest) >= _KNOWN_DEAREST:
                self._dearest.clear()
            hour_micro = dearest_hour_micro(version.deck, terms)
            self._dearest[version.version_id, terms] = hour_micro
        return hour_micro

    def _service(self, account_id: str, service_id: str) -> Service | None:
        account = self._accounts.get(account_id)
        services = account.services if account else ()
        return next((s for s in services if s.service_id == service_id), None)

    def tenants_of(self, account_ids: Sequence[str]) -> list[tuple[str, str]]:
        """The tenants whose calls may be these accounts': (server_id, tenant)."""
        return [
            (service.server_id, service.tenant)
            for account_id in account_ids
            if account_id in self._accounts
            for service in self._accounts[account_id].services
        ]


def dearest_hour_micro(deck: Deck, terms: PackageTerms) -> int:
    """What an hour of talk costs by the dearest row of a deck under a package."""
    prices = (terms.outbound(rate) for rate in deck.distinct_rates())
    charged = [price.charge(3600, 0)[2] for price in prices if isinstance(price, PriceTerms)]
    return max(charged, default=0)

"""The accounts, products and tariffs by which calls are matched and priced, in memory. Pure."""

from collections.abc import Iterable, Sequence

from rating.posting.records import FreeKey
from rating.pricing.billing_period import period_of
from rating.pricing.call_time import answered_at
from rating.pricing.product_match import Ambiguous, Match, ProductIndex
from rating.pricing.rate_call import RatingOutcome, Unrated, rate_call
from rating.pricing.tariff import TariffVersion, TariffVersions
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted


class ReferenceData:
    """Accounts with their products, and tariff versions, as they were last put in."""

    def __init__(self) -> None:
        self._accounts: dict[str, AccountChanged] = {}
        self._products = ProductIndex()
        self._tariffs = TariffVersions()

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
        found = self._products.match(call)
        if isinstance(found, Match):
            return found
        if isinstance(found, Ambiguous):
            return Unrated("ambiguous-product", found.detail)
        return Unrated("unknown-product", found.detail)

    def rate(self, call: CallCompleted, match: Match, free_s_left: int) -> RatingOutcome:
        """The outcome of rating a call of this product; `free_s_left` free seconds are left."""
        return rate_call(call, match, self._tariffs, free_s_left)

    def free_key(self, call: CallCompleted, match: Match) -> FreeKey | None:
        """Whose free seconds of which billing period a call may use; None if it has none."""
        if not match.terms.free_minutes:
            return None
        period = period_of(answered_at(call), match.time_zone)
        return match.account_id, match.service_id, period

    def client_names(self, account_ids: Iterable[str]) -> dict[str, str]:
        """These clients' names, by account; accounts that are not known here are missing."""
        clients = {a: self._accounts[a].client for a in account_ids if a in self._accounts}
        return {
            account_id: c.company_name or f"{c.first_name} {c.last_name}".strip()
            for account_id, c in clients.items()
        }

    def tenants_of(self, account_ids: Sequence[str]) -> list[tuple[str, str]]:
        """The tenants whose calls may be these accounts': (server_id, tenant)."""
        return [
            (service.server_id, service.tenant)
            for account_id in account_ids
            if account_id in self._accounts
            for service in self._accounts[account_id].services
        ]

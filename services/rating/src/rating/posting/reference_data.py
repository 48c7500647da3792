"""What rating must know to price a call, kept in memory and renewed from the database."""

from collections.abc import Iterable, Sequence

import asyncpg
import structlog

from rating.posting.records import FreeKey
from rating.pricing.billing_period import is_zone, period_of
from rating.pricing.call_time import answered_at
from rating.pricing.product_match import Ambiguous, Match, ProductIndex
from rating.pricing.rate_call import RatingOutcome, Unrated, rate_call
from rating.pricing.tariff import Deck, TariffVersion, TariffVersions
from rating.store import RatingStore
from ringfence.gc_tuning import freeze_live_objects
from ringfence_contracts.events.account import AccountChanged
from ringfence_contracts.events.call import CallCompleted

_MANY = 100
"""So much news at once is what a worker begins with; it stays for as long as the process."""
log = structlog.get_logger()


class ReferenceData:
    """Accounts' profiles, their products, and the tariffs, as of the last `refresh`."""

    def __init__(self) -> None:
        self._horizon = "0"
        self._accounts: dict[str, AccountChanged] = {}
        self._products = ProductIndex()
        self._tariffs = TariffVersions()
        self._loaded: set[int] = set()

    async def refresh(self, store: RatingStore) -> None:
        """Take in what changed since the last time, whichever worker wrote it."""
        news = await store.news(self._horizon)
        for value in news.profiles:
            self._take_account(AccountChanged.model_validate(value))
        for row in news.tariffs:
            await self._take_tariff(store, row)
        self._horizon = news.horizon
        if len(news.profiles) + len(news.tariffs) >= _MANY:
            freeze_live_objects()

    def _take_account(self, account: AccountChanged) -> None:
        if self._accounts.get(account.account_id) != account and not is_zone(account.time_zone):
            log.warning(
                "an unknown time zone: billing periods run by UTC",
                account_id=account.account_id,
                time_zone=account.time_zone,
            )
        self._accounts[account.account_id] = account
        self._products.replace(account)

    async def _take_tariff(self, store: RatingStore, row: asyncpg.Record) -> None:
        version_id = row["version_id"]
        if version_id in self._loaded:
            return
        rates = await store.rates(version_id)
        self._tariffs.add(
            TariffVersion(
                version_id, row["tariff_id"], row["currency"], row["effective_from"], Deck(rates)
            )
        )
        self._loaded.add(version_id)

    def match(self, call: CallCompleted) -> Match | Unrated:
        """The product that a call belongs to, or why none can be named."""
        found = self._products.match(call)
        if isinstance(found, Match):
            return found
        if isinstance(found, Ambiguous):
            return Unrated("ambiguous-product", found.detail)
        return Unrated("unknown-product", found.detail)

    def rate(self, call: CallCompleted, match: Match, free_s_left: int) -> RatingOutcome:
        """What a call of this product costs."""
        return rate_call(call, match, self._tariffs, free_s_left)

    def free_key(self, call: CallCompleted, match: Match) -> FreeKey | None:
        """Whose free seconds a call may use, and of which billing period; None: it has none."""
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

    def places(self, account_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Where these accounts' calls come from: (server_id, tenant)."""
        return [
            (service.server_id, service.tenant)
            for account_id in account_ids
            if account_id in self._accounts
            for service in self._accounts[account_id].services
        ]

"""Keeps the reference data in memory as they are in the database, whichever worker wrote them."""

import asyncpg
import structlog

from rating.posting.reference_data import ReferenceData
from rating.pricing.billing_period import is_zone
from rating.pricing.tariff import Deck, TariffVersion
from rating.store import RatingStore
from ringfence.gc_tuning import freeze_live_objects
from ringfence_contracts.events.account import AccountChanged

_MANY = 100
"""So many changes at once are the first load, which stays in memory as long as the process."""
log = structlog.get_logger()


class ReferenceLoader:
    """Loads `data` from the store, whole at first and then what changed."""

    def __init__(self, store: RatingStore) -> None:
        self.data = ReferenceData()
        self._store = store
        self._horizon = "0"
        self._loaded: set[int] = set()

    async def refresh(self) -> None:
        """Load what was committed since the last refresh."""
        changes = await self._store.reference_changes(self._horizon)
        for value in changes.profiles:
            self._put_account(AccountChanged.model_validate(value))
        for row in changes.tariffs:
            await self._load_tariff(row)
        self._horizon = changes.horizon
        if len(changes.profiles) + len(changes.tariffs) >= _MANY:
            freeze_live_objects()

    def _put_account(self, account: AccountChanged) -> None:
        if self.data.put_account(account) and not is_zone(account.time_zone):
            log.warning(
                "an unknown time zone: billing periods run by UTC",
                account_id=account.account_id,
                time_zone=account.time_zone,
            )

    async def _load_tariff(self, row: asyncpg.Record) -> None:
        """Load a tariff version's rows, once: a version never changes."""
        version_id = row["version_id"]
        if version_id in self._loaded:
            return
        deck = Deck(await self._store.rates(version_id))
        self.data.put_tariff(
            TariffVersion(
                version_id, row["tariff_id"], row["currency"], row["effective_from"], deck
            )
        )
        self._loaded.add(version_id)

"""The tables of tariffs: versions that are written once, whole, and never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.refusals import Clash, Unknown
from accounts.store_rows import lock_name
from accounts.tariff_csv import Rate, rows_digest
from ringfence import ids
from ringfence.clock import Clock
from ringfence.events.tariff import TariffPublished
from ringfence.kafka.records import Outgoing
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Pool
from ringfence.topics import TARIFF_PUBLISHED

_COPY_BOUND_S = 300.0
_VERSION = (
    "select version_id, tariff_id, name, currency, effective_from, rows, sha256, created_at,"
    " created_by from accounts.tariff_version"
)


@dataclass(frozen=True)
class TariffFile:
    """A tariff file that was read without a fault, and for when it is meant."""

    tariff_id: str
    name: str
    currency: str
    effective_from: datetime | None
    rates: Sequence[Rate]
    sha256: str

    @classmethod
    def of(
        cls,
        tariff_id: str,
        name: str | None,
        currency: str,
        effective_from: datetime | None,
        rates: Sequence[Rate],
    ) -> "TariffFile":
        """With the digest of its rows, which takes a moment for a large one."""
        digest = rows_digest(rates)
        return cls(tariff_id, name or tariff_id, currency, effective_from, rates, digest)


class TariffStore:
    """Tariff versions."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def publish(self, file: TariffFile, who: str) -> tuple[dict[str, Any], bool]:
        """Make a new version in one step and tell it; and whether it is new.

        The latest version over again (same rows; same instant, or none given) is answered as it
        stands: an upload may be repeated. Raises Clash for another currency than before.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await lock_name(connection, f"tariff:{file.tariff_id}")
            latest = await connection.fetchrow(
                f"{_VERSION} where tariff_id = $1 order by version_id desc limit 1",
                file.tariff_id,
            )
            if latest is not None and latest["currency"] != file.currency:
                what = f"tariff {file.tariff_id} is kept in {latest['currency']}; use another id"
                raise Clash("currency", file.currency, what)
            if latest is not None and _is_again(dict(latest), file):
                return dict(latest), False
            now = self._clock.now()
            version = await connection.fetchrow(
                "insert into accounts.tariff_version"
                " (tariff_id, name, currency, effective_from, rows, sha256, created_at, created_by)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8) returning *",
                file.tariff_id,
                file.name,
                file.currency,
                file.effective_from or now,
                len(file.rates),
                file.sha256,
                now,
                who,
            )
            assert version is not None
            version_id = version["version_id"]
            await connection.copy_records_to_table(
                "tariff_rate",
                schema_name="accounts",
                columns=("version_id", *Rate._fields),
                records=((version_id, *rate) for rate in file.rates),
                timeout=_COPY_BOUND_S,
            )
            await enqueue(connection, "accounts", [_event(dict(version))])
            return dict(version), True

    async def known(self, tariff_id: str) -> bool:
        """Whether a tariff has any version."""
        found: bool = await self._pool.fetchval(
            "select exists (select from accounts.tariff_version where tariff_id = $1)", tariff_id
        )
        return found

    async def latest(self) -> list[dict[str, Any]]:
        """The latest version of every tariff."""
        rows = await self._pool.fetch(
            _VERSION.replace("select", "select distinct on (tariff_id)", 1)
            + " order by tariff_id, version_id desc"
        )
        return [dict(row) for row in rows]

    async def versions(self, tariff_id: str) -> list[dict[str, Any]]:
        """All versions of a tariff, the newest first. Raises Unknown."""
        rows = await self._pool.fetch(
            f"{_VERSION} where tariff_id = $1 order by version_id desc", tariff_id
        )
        if not rows:
            expected = "import it with POST /v1/tariffs/{tariff_id}/versions"
            raise Unknown("tariff", tariff_id, expected)
        return [dict(row) for row in rows]


def _is_again(latest: dict[str, Any], file: TariffFile) -> bool:
    same_instant = file.effective_from in (None, latest["effective_from"])
    return same_instant and latest["sha256"] == file.sha256 and latest["rows"] == len(file.rates)


def _event(version: dict[str, Any]) -> Outgoing:
    data = TariffPublished.model_validate({**version, "published_at": version["created_at"]})
    return Outgoing(
        topic=TARIFF_PUBLISHED,
        key=data.tariff_id,
        value=data.to_json(),
        event_id=ids.derive(TARIFF_PUBLISHED.name, data.version_id),
        time=data.published_at,
        source="accounts",
    )

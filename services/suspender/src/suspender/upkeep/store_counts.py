"""How many services are off and why, counted in one reading of the services."""

from typing import NamedTuple

from ringfence.postgres.pool import Pool

# A service that departed is no client's product any more: it does not count as off.
_OFF = """
select h.reason, count(*) from suspender.service s cross join lateral unnest(s.holds) as h (reason)
where s.confirmed = 'suspended' and s.wanted = 'suspended' and not s.departed
group by h.reason
"""
_SERVICES = """
select
    count(*) filter (where not departed) as all_services,
    count(*) filter (where confirmed = 'suspended' and not departed) as off,
    count(*) filter (where would = 'suspended' and not live and not departed) as would_be_off,
    count(*) filter (where wanted_seq > confirmed_seq and wanted = 'suspended') as cuts_open,
    count(*) filter (where wanted_seq > confirmed_seq and wanted = 'active') as restores_open
from suspender.service
"""


class ServiceNumbers(NamedTuple):
    """Numbers of services: all, off, those that shadow mode keeps on, and unconfirmed switches."""

    all_services: int
    off: int
    would_be_off: int
    cuts_open: int
    restores_open: int


class CountStore:
    """Reads for the counts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def off_by_reason(self) -> dict[str, int]:
        """The number of services that are off, by hold; one with two holds counts under both."""
        return {row[0]: row[1] for row in await self._pool.fetch(_OFF)}

    async def services(self) -> ServiceNumbers:
        """All services, counted."""
        row = await self._pool.fetchrow(_SERVICES)
        assert row is not None
        return ServiceNumbers(*row)

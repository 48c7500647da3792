"""Counts over the rows of a new version from which its warnings are made."""

from asyncpg import Record

from accounts.tariffs.decks.doubts import (
    HIGH_RATE,
    Jump,
    PrefixGroup,
    doubt_about_high_rates,
    doubt_about_jumps,
    doubts_about_prefixes,
    notes_on_file,
)
from accounts.tariffs.decks.reader import TariffReader
from accounts.tariffs.decks.rows import BLOCKED, TARIFF_RATE
from accounts.tariffs.decks.sample import SHOWN_ROWS, SHOWN_SECONDS, price_of_call
from accounts.tariffs.store_rows import BOUND_S, STAGED
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.tariff import RowFees

_AMERICAN = (
    r"\m(usa?|u\.s\.a?|united states|canada|nanp|npa|ontario|quebec|alberta|manitoba|toll.?free)\M"
)
_JUMPS = (
    " n.prefix, o.rate as before, n.rate as after from {new} n join {old} o using (prefix)"
    " where o.rate::numeric > 0 and n.status <> 2 and o.status <> 2"
    " and abs(n.rate::numeric - o.rate::numeric) > o.rate::numeric / 2"
)


async def doubts_about_file(connection: Connection, reader: TariffReader) -> list[str]:
    """Warnings about the staged rows, whatever they are compared with."""
    groups = await connection.fetch(
        "select left(prefix, 3) as head, length(prefix) as length, count(*) as rows,"
        " count(*) filter (where description ~* $1) as american, min(prefix) as example"
        " from pg_temp.staged group by 1, 2 order by 1, 2",
        _AMERICAN,
        timeout=BOUND_S,
    )
    high = await connection.fetch(
        f"select prefix, rate, count(*) over () as rows from {STAGED}"  # noqa: S608
        " where rate::numeric > $1 and status = 1 order by rate::numeric desc, prefix limit 1",
        HIGH_RATE,
        timeout=BOUND_S,
    )
    blocked = await connection.fetchval(
        f"select count(*) from {STAGED} where status = $1",  # noqa: S608
        BLOCKED,
    )
    in_front = reader.layout.put_in_front is not None
    return [
        *notes_on_file(reader.above, blocked, reader.left_out),
        *doubts_about_prefixes((PrefixGroup(*row) for row in groups), in_front=in_front),
        *[doubt_about_high_rates(row["rows"], row["prefix"], row["rate"]) for row in high],
    ]


async def doubts_about_change(connection: Connection, new: str, old: str) -> list[str]:
    """Warnings about rates that differ much between two relations of rows."""
    found = _JUMPS.format(new=new, old=old)
    count = await connection.fetchval(
        f"select count(*) from (select {found}) each",  # noqa: S608 - relations of ours
        timeout=BOUND_S,
    )
    if not count:
        return []
    rows = await connection.fetch(
        f"select {found} order by abs(n.rate::numeric / o.rate::numeric - 1) desc, n.prefix"
        " limit 3",
        timeout=BOUND_S,
    )
    return [doubt_about_jumps(count, [Jump(*row) for row in rows])]


async def first_prices(connection: Connection, relation: str) -> list[dict[str, object]]:
    """The first rows of a file, with the prices of some calls; None for a row that prices none."""
    rows = await connection.fetch(
        "select prefix, description, rate, initial_s, increment_s, status,"  # noqa: S608
        " connection_fee, minimum_cost, maximum_cost"
        f" from {relation} r where line is not null order by line, prefix limit $1",
        SHOWN_ROWS,
        timeout=BOUND_S,
    )
    return [
        {
            "prefix": row["prefix"],
            "description": row["description"],
            "rate": row["rate"],
            "increment": f"{row['initial_s']}/{row['increment_s']}",
            "status": row["status"],
            "calls": _prices(row) if row["status"] == TARIFF_RATE else None,
        }
        for row in rows
    ]


def _prices(row: Record) -> dict[str, str]:
    terms = row["rate"], row["initial_s"], row["increment_s"]
    fees = RowFees(row["connection_fee"], row["minimum_cost"], row["maximum_cost"])
    return {str(talk_s): price_of_call(*terms, talk_s, fees) for talk_s in SHOWN_SECONDS}

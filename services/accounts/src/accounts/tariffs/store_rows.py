"""Rows of tariffs in the database: staging of a file, and differences of two versions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from asyncpg import Record

from accounts.tariffs.decks.reader import REPORTED, RowsDigest, TariffReader
from accounts.tariffs.decks.rows import STORED, BadTariff, BadTariffRow, TariffRow
from ringfence.postgres.pool import Connection

BOUND_S = 300.0
"""How long a statement over all rows of a large file may take."""

KINDS = ("added", "removed", "dearer", "cheaper", "changed")
"""The kinds of differences. A prefix has one kind; a different rate comes before the rest."""

STAGED = "pg_temp.staged"
_FETCHED = 5000


class Content(NamedTuple):
    """The rows of a version, or of a staged file: their relation, their count and their digest."""

    relation: str
    rows: int
    sha256: str


def rows_of(version_id: int | None) -> str:
    """The SQL relation with the rows of a version; an empty one for None."""
    one = "false" if version_id is None else f"version_id = {version_id:d}"
    return f"(select * from accounts.tariff_rate where {one})"  # noqa: S608 - a whole number


async def stage(connection: Connection, reader: TariffReader) -> Content:
    """Read a whole file into a temporary table, and compute the digest of its rows.

    Raises BadTariff when a row is bad or a prefix appears twice, BadInput when it is no tariff.
    """
    await connection.execute(
        'create temporary table staged (line integer, prefix text collate "C", description text,'
        " rate text, initial_s integer, increment_s integer, status smallint,"
        " short_description text, last_rate_change text, old_rate text, rate_premium text,"
        " connection_fee text, minimum_cost text, maximum_cost text,"
        " effective_at timestamptz, end_at timestamptz)"
        " on commit drop"
    )
    await connection.copy_records_to_table(
        "staged",
        schema_name="pg_temp",
        columns=TariffRow._fields,
        records=_pieces(reader),
        timeout=BOUND_S,
    )
    await connection.execute("analyze pg_temp.staged")
    await _refuse_bad_rows(connection, reader)
    return Content(STAGED, reader.rows, await digest_of(connection, STAGED))


async def _pieces(reader: TariffReader) -> AsyncIterator[TariffRow]:
    # Parsing takes CPU time: a thread keeps the event loop free for other requests.
    while rows := await asyncio.to_thread(reader.piece):
        for row in rows:
            yield row


async def _refuse_bad_rows(connection: Connection, reader: TariffReader) -> None:
    twice = await connection.fetch(
        # Rows of one line have no order of their own: their places in the table give it.
        "select line, prefix, first, count(*) over () as total from"
        " (select line, prefix, first_value(line) over same as first,"
        " row_number() over same as nth from pg_temp.staged"
        " window same as (partition by prefix, effective_at order by line, ctid)) each"
        " where nth > 1 order by line, prefix limit $1",
        REPORTED,
        timeout=BOUND_S,
    )
    bad = [*reader.bad, *(_came_before(row) for row in twice)]
    if bad:
        total = reader.bad_total + (twice[0]["total"] if twice else 0)
        raise BadTariff(sorted(bad, key=lambda row: row.line)[:REPORTED], total)


def _came_before(row: Record) -> BadTariffRow:
    expected = f"each prefix once in a file, or once for each date; line {row['first']} has it too"
    if len(row["prefix"]) == 3:
        expected += (
            ". If they are area codes of North America beside codes with a +: --put-in-front 1"
        )
    return BadTariffRow(row["line"], "Prefix", row["prefix"], expected)


async def digest_of(connection: Connection, relation: str) -> str:
    """The digest of the rows of a relation."""
    digest = RowsDigest()
    cursor = await connection.cursor(
        "select prefix, description, rate, initial_s, increment_s, status,"  # noqa: S608 - ours
        " connection_fee, minimum_cost, maximum_cost"
        f" from {relation} r order by prefix"
    )
    while rows := await cursor.fetch(_FETCHED, timeout=BOUND_S):
        digest.add([tuple(row) for row in rows])
    return digest.hex()


async def write_rows(connection: Connection, version_id: int, relation: str) -> None:
    """Copy the rows of `relation` into a new version."""
    columns = ", ".join(STORED)
    await connection.execute(
        f"insert into accounts.tariff_rate (version_id, {columns})"  # noqa: S608 - names of ours
        f" select $1, {columns} from {relation} r order by prefix",
        version_id,
        timeout=BOUND_S,
    )


def _changes(new: str, old: str) -> str:
    """SQL: every prefix of either side, with its kind of difference."""
    return (
        "with change as (select prefix, case"  # noqa: S608 - relations of ours
        " when o.rate is null then 'added' when n.rate is null then 'removed'"
        " when n.rate::numeric > o.rate::numeric then 'dearer'"
        " when n.rate::numeric < o.rate::numeric then 'cheaper'"
        " when (n.description, n.initial_s, n.increment_s, n.status)"
        " <> (o.description, o.initial_s, o.increment_s, o.status)"
        " or (n.connection_fee, n.minimum_cost, n.maximum_cost) is distinct from"
        " (o.connection_fee, o.minimum_cost, o.maximum_cost) then 'changed'"
        " else 'same' end as kind,"
        " n.description, n.rate, n.initial_s, n.increment_s, n.status,"
        " o.description as o_description, o.rate as o_rate, o.initial_s as o_initial_s,"
        " o.increment_s as o_increment_s, o.status as o_status"
        f" from {new} n full join {old} o using (prefix)) "
    )


async def summary(
    connection: Connection, new: str, old: str, base: int | None, largest: int
) -> dict[str, Any]:
    """The differences between the rows of `new` and those of `old`, which is version `base`.

    `counts` counts each prefix once, by kind. `touched` counts the prefixes of both sides whose
    increment, description or status differs, in addition to their kind. `largest` has up to
    `largest` rows of each kind, those with the largest change of rate first.
    """
    changes = _changes(new, old)
    counted = await connection.fetch(
        changes + "select kind, count(*) as rows,"  # noqa: S608
        " count(*) filter (where (initial_s, increment_s) <> (o_initial_s, o_increment_s))"
        " as increment, count(*) filter (where description <> o_description) as description,"
        " count(*) filter (where status <> o_status) as status from change group by kind",
        timeout=BOUND_S,
    )
    counts = {row["kind"]: row["rows"] for row in counted}
    rows = await connection.fetch(
        changes  # noqa: S608
        + "select * from (select *, row_number() over (partition by kind order by"
        " abs(coalesce(rate::numeric, 0) - coalesce(o_rate::numeric, 0)) desc, prefix) as place"
        " from change where kind <> 'same') ranked where place <= $1"
        " order by array_position($2::text[], kind), place",
        largest,
        KINDS,
        timeout=BOUND_S,
    )
    return {
        "base": base,
        "counts": {kind: counts.get(kind, 0) for kind in (*KINDS, "same")},
        "touched": {
            what: sum(row[what] for row in counted)
            for what in ("increment", "description", "status")
        },
        "largest": [_change(row) for row in rows],
    }


async def change_rows(
    connection: Connection, new: str, old: str, kinds: Sequence[str], after: str, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` changes of these kinds with prefixes after `after`, in their order."""
    rows = await connection.fetch(
        _changes(new, old)  # noqa: S608
        + "select * from change where kind = any($1) and prefix > $2 order by prefix limit $3",
        kinds,
        after,
        limit,
        timeout=BOUND_S,
    )
    return [_change(row) for row in rows]


def _change(row: Record) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "prefix": row["prefix"],
        "before": _side(row, "o_"),
        "after": _side(row, ""),
    }


def _side(row: Record, mark: str) -> dict[str, Any] | None:
    if row[f"{mark}rate"] is None:
        return None
    return {
        "description": row[f"{mark}description"],
        "rate": row[f"{mark}rate"],
        "increment": f"{row[f'{mark}initial_s']}/{row[f'{mark}increment_s']}",
        "status": row[f"{mark}status"],
    }

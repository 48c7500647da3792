"""Writes a version as a file: an import of it gives the same rows and the same digest."""

import csv
import io
from collections.abc import AsyncIterator, Iterable

from asyncpg import Record

from accounts.tariffs.decks.columns import EXPORTED
from accounts.tariffs.store_rows import BOUND_S
from ringfence.postgres.pool import Pool

_PIECE = 5000
_BYTE_ORDER_MARK = "\ufeff"


async def export_rows(pool: Pool, version_id: int) -> AsyncIterator[bytes]:
    """The header and the rows of a version by prefix, as UTF-8 with a byte order mark."""
    yield _lines([EXPORTED], _BYTE_ORDER_MARK)
    after = ""
    # A page at a time: a connection is not held while a slow reader takes the file.
    while True:
        rows = await pool.fetch(
            "select * from accounts.tariff_rate where version_id = $1 and prefix > $2"
            " order by prefix limit $3",
            version_id,
            after,
            _PIECE,
            timeout=BOUND_S,
        )
        if not rows:
            return
        after = rows[-1]["prefix"]
        yield _lines([_cells(row) for row in rows])


def _cells(row: Record) -> tuple[str, ...]:
    return (
        row["description"],
        row["prefix"],
        row["rate"],
        f"{row['initial_s']}/{row['increment_s']}",
        str(row["status"]),
        row["short_description"] or "",
        row["last_rate_change"] or "",
        row["old_rate"] or "",
        row["rate_premium"] or "",
        row["connection_fee"] or "",
        row["minimum_cost"] or "",
        row["maximum_cost"] or "",
    )


def _lines(rows: Iterable[Iterable[str]], start: str = "") -> bytes:
    out = io.StringIO(newline="")
    out.write(start)
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()

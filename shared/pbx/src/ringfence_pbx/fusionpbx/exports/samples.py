"""Looks at the newest rows of an export: whether they are signed, and whether one call is found."""

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

from ringfence_pbx.fusionpbx.exports.signing import is_signed
from ringfence_pbx.fusionpbx.session import FusionPbxSession

SPANS_S = (3600, 86_400, 7 * 86_400)
"""The periods in which rows are looked for."""

MOST_ROWS = 50
NO_CALL = "00000000-0000-4000-8000-000000000000"
"""The id of no call."""

ExportColumns = Mapping[str, str]


class NarrowAnswer(NamedTuple):
    """What exports of one call answered: whether a call is found, and only that, and how fast."""

    found: bool
    finds_no_other: bool
    took_s: float


async def newest_rows(session: FusionPbxSession, *, all_tenants: bool) -> list[ExportColumns]:
    """The newest rows that can be split, by column; at most 50, from a week at most."""
    for span_s in SPANS_S:
        rows = await _rows_since(session, span_s, all_tenants=all_tenants)
        if rows:
            return rows
    return []


async def _rows_since(
    session: FusionPbxSession, span_s: int, *, all_tenants: bool
) -> list[ExportColumns]:
    now = int(time.time())
    names: Sequence[str] = ()
    rows: list[ExportColumns] = []
    async with aclosing(session.export(now - span_s, now, all_tenants=all_tenants)) as lines:
        async for line in lines:
            values = line.decode("utf-8", "replace").rstrip("\r\n").strip('"').split('","')
            if not names:
                names = values
            elif len(values) == len(names):
                rows.append(dict(zip(names, values, strict=True)))
            if len(rows) == MOST_ROWS:
                break
    return rows


def count_signed(rows: Sequence[ExportColumns], secret: str) -> int:
    """How many of the rows have the signature of their values."""
    return sum(is_signed(row, secret) for row in rows)


async def narrow_answer(
    session: FusionPbxSession, row: ExportColumns, *, all_tenants: bool
) -> NarrowAnswer:
    """Export the one call of a row, and one that does not exist."""
    began = time.monotonic()
    body = await session.export_of(row["xml_cdr_uuid"], all_tenants=all_tenants)
    took_s = time.monotonic() - began
    other = await session.export_of(NO_CALL, all_tenants=all_tenants)
    return NarrowAnswer(row["xml_cdr_uuid"] in body, not other.strip(), took_s)

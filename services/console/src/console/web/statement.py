"""A statement's months, and its file for a spreadsheet."""

import csv
import io
from collections.abc import Awaitable, Callable
from datetime import datetime, time
from zoneinfo import ZoneInfo

from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.web.formats import as_instant
from console.web.spreadsheet import cell

StatementPart = Callable[[str], Awaitable[ApiAnswer]]
"""The part of a statement at a cursor; the newest part at an empty one."""


def month_bounds(month: str, zone: str) -> dict[str, str]:
    """The first and last instant of a month `2026-11` in a zone; empty for all."""
    if not month:
        return {}
    there = ZoneInfo(zone)
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=there)
        year, number = divmod(first.year * 12 + first.month, 12)
        following = datetime.combine(datetime(year, number + 1, 1).date(), time(), there)
    except ValueError:
        raise ApiRefused(422, [f"month: {month!r}: expected a month such as 2026-11"]) from None
    return {"since": first.isoformat(), "until": following.isoformat()}


async def statement_file(part: StatementPart, name: str) -> Response:
    """The entries of a statement, whole, the oldest first."""
    parts: list[ApiAnswer] = []
    cursor = ""
    while not parts or cursor:
        parts.append(await part(cursor))
        cursor = parts[-1]["next"] or ""
    file = io.StringIO()
    rows = csv.writer(file)
    first = parts[0]
    rows.writerow(("time", "kind", "what", "amount", "balance", "entry"))
    rows.writerow(("", "opening", "", "", first["opening"], ""))
    for found in reversed(parts):
        for entry in found["entries"]:
            at = as_instant(entry["occurred_at"])
            rows.writerow(
                (at and at.isoformat(), entry["kind"], cell(entry["what"]), entry["amount"],
                 entry["balance"], entry.get("entry_id") or entry.get("call_id") or "")
            )  # fmt: skip
    rows.writerow(("", "closing", "", first["sum"], first["closing"], ""))
    return Response(
        file.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )

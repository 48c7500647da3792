"""The audit of a client: every change of it, and every payment, with who and why: SQL."""

from datetime import datetime
from typing import Any

from accounts.paging import decode_cursor, page
from accounts.typed.instants import read_instant
from ringfence.postgres.pool import Pool
from ringfence_contracts.money import format_micro

_ENTRIES = """
select * from (
    select changed_at as at, 'v' || lpad(version::text, 19, '0') as place, changed_by as who,
        what, reason, version, before, after, null::bigint as amount_micro,
        null::text as kind, null::text as currency, null::uuid as refunds, null::text as claimed_by
    from accounts.account_change where account_id = $1
    union all
    select received_at, 'p' || payment_id::text, received_by, '',
        coalesce(claim_reason, reference), null, null, null,
        amount_micro, case when idempotency_key = 'opening' then 'opening' else kind end,
        currency, refunds, claimed_by
    from accounts.payment where account_id = $1
) as entry
where $2::timestamptz is null or (at, place collate "C") < ($2, $3::text collate "C")
order by at desc, place collate "C" desc limit $4
"""


class History:
    """Reads the audit of clients."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of_client(self, account_id: str, cursor: str | None, limit: int) -> dict[str, Any]:
        """The audit entries of a client, the newest first."""
        at, position = decode_cursor(cursor, read_instant, _read_position)
        rows = await self._pool.fetch(_ENTRIES, account_id, at, position, limit + 1)
        found = page([dict(row) for row in rows], limit, _position)
        return {**found, "items": [_entry(row) for row in found["items"]]}


def _read_position(text: str) -> str:
    if text[:1] not in ("v", "p") or len(text) > 40 or "\x00" in text:
        raise ValueError("not a position")
    return text


def _position(row: dict[str, Any]) -> tuple[str, str]:
    at: datetime = row["at"]
    return at.isoformat(), row["place"]


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    names = ("at", "who", "what", "reason", "version", "before", "after")
    entry = {name: row[name] for name in names}
    if row["amount_micro"] is None:
        return entry
    after = {"amount": format_micro(row["amount_micro"]), "currency": row["currency"]}
    who = row["claimed_by"] or row["who"]
    return {**entry, "who": who, "what": _payment_words(row), "after": after}


def _payment_words(row: dict[str, Any]) -> str:
    amount = row["amount_micro"]
    if row["claimed_by"]:
        return f"{row['kind']} of {format_micro(amount)} claimed from the topic"
    if row["kind"] == "opening":
        return f"opening balance of {format_micro(amount)}"
    if row["refunds"]:
        return f"refund of {format_micro(-amount)}"
    return f"{row['kind']} of {format_micro(amount)}"

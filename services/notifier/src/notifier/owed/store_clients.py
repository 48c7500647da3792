"""Clients as consumed from events: profiles, and the levels by which queued mails are decided."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from notifier.merge_fields import ClientAccount
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.balance import Level

_SAVED = (
    "account_id", "version", "first_name", "last_name", "company_name", "email", "wants_mail",
    "low_balance_threshold", "threshold_micro", "mode", "prepaid", "language", "time_zone", "cc",
    "custom_fields",
)  # fmt: skip
ACCOUNT_COLUMNS = (*_SAVED, "live_since")
_LIVE_SINCE = len(_SAVED) + 1
_SAVE = f"""
insert into notifier.account as known ({", ".join(_SAVED)})
values ({", ".join(f"${n}" for n in range(1, _LIVE_SINCE))})
on conflict (account_id) do update set
    ({", ".join(_SAVED)}, live_since) = ({", ".join(f"excluded.{name}" for name in _SAVED)},
    case when known.mode = 'shadow' and excluded.mode = 'live' then ${_LIVE_SINCE}
        else known.live_since end)
where known.version < excluded.version
"""  # noqa: S608 - this file's constants


async def save_account(
    connection: Connection, account: ClientAccount, changed_at: datetime
) -> None:
    """Save the account, unless the same or a newer version is saved."""
    await connection.execute(
        _SAVE, *(_stored(getattr(account, name)) for name in _SAVED), changed_at
    )


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


async def find_account(connection: Connection, account_id: str) -> ClientAccount | None:
    """The newest version of the account that was consumed, or None."""
    row = await connection.fetchrow(
        f"select {', '.join(ACCOUNT_COLUMNS)} from notifier.account"  # noqa: S608 - as above
        " where account_id = $1",
        account_id,
    )
    return None if row is None else account_of(row)


def account_of(row: asyncpg.Record) -> ClientAccount:
    """The account in a row that has all of ACCOUNT_COLUMNS."""
    values = {name: row[name] for name in ACCOUNT_COLUMNS}
    return ClientAccount(**values | {"cc": tuple(values["cc"])})


async def note_level(
    connection: Connection,
    account_id: str,
    level: Level,
    crossing: int,
    *,
    hold: int = 0,
    hold_ended: int = 0,
) -> None:
    """Save the level after a crossing, unless a newer crossing is saved.

    `hold` is the number of the funds hold that began with it, `hold_ended` of the one that ended.
    """
    await connection.execute(
        "insert into notifier.level as known"
        " (account_id, level, crossing, zero_crossing, hold, hold_ended)"
        " values ($1, $2, $3::bigint, case when $2 = 'exhausted' then $3::bigint end, $4, $5)"
        " on conflict (account_id) do update set"
        " level = case when excluded.crossing >= coalesce(known.crossing, 0)"
        "  then excluded.level else known.level end,"
        " crossing = greatest(known.crossing, excluded.crossing),"
        " zero_crossing = greatest(known.zero_crossing, excluded.zero_crossing),"
        " hold = greatest(known.hold, excluded.hold),"
        " hold_ended = greatest(known.hold_ended, excluded.hold_ended)",
        account_id,
        level,
        crossing,
        hold,
        hold_ended,
    )


async def note_restored(connection: Connection, account_id: str, restored_at: datetime) -> None:
    """Save when a service of the account was last restored."""
    await connection.execute(
        "insert into notifier.level (account_id, restored_at) values ($1, $2)"
        " on conflict (account_id) do update"
        " set restored_at = greatest(level.restored_at, excluded.restored_at)",
        account_id,
        restored_at,
    )

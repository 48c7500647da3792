"""What the notifier knows of clients: who they are, and what unsent mails are measured against."""

from datetime import datetime
from typing import Literal

from notifier.merge_fields import Account
from ringfence.postgres.pool import Connection

_ACCOUNT = (
    "account_id, version, first_name, last_name, company_name, email, wants_mail,"
    " low_balance_threshold, threshold_micro, mode, prepaid"
)


async def save_account(connection: Connection, account: Account, changed_at: datetime) -> None:
    """Save the account, unless a newer version of it is there."""
    await connection.execute(
        f"insert into notifier.account as known ({_ACCOUNT})"  # noqa: S608 - this file's constant
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        " on conflict (account_id) do update set (version, first_name, last_name,"
        " company_name, email, wants_mail, low_balance_threshold, threshold_micro, mode,"
        " prepaid, live_since)"
        " = (excluded.version, excluded.first_name, excluded.last_name,"
        " excluded.company_name, excluded.email, excluded.wants_mail,"
        " excluded.low_balance_threshold, excluded.threshold_micro, excluded.mode,"
        " excluded.prepaid, case when known.mode = 'shadow' and excluded.mode = 'live'"
        "  then $12 else known.live_since end)"
        " where known.version < excluded.version",
        account.account_id,
        account.version,
        account.first_name,
        account.last_name,
        account.company_name,
        account.email,
        account.wants_mail,
        account.low_balance_threshold,
        account.threshold_micro,
        account.mode,
        account.prepaid,
        changed_at,
    )


async def find_account(connection: Connection, account_id: str) -> Account | None:
    """The account's newest version that was read, or None."""
    row = await connection.fetchrow(
        f"select {_ACCOUNT}, live_since from notifier.account"  # noqa: S608 - as above
        " where account_id = $1",
        account_id,
    )
    return None if row is None else Account(**row)


async def note_level(
    connection: Connection, account_id: str, level: Literal["low", "exhausted"], crossing: int
) -> None:
    """Save the level that the latest crossing reached, and which was the latest to zero."""
    await connection.execute(
        "insert into notifier.level as known (account_id, level, crossing, zero_crossing)"
        " values ($1, $2, $3::int, case when $2 = 'exhausted' then $3::int end)"
        " on conflict (account_id) do update set"
        " level = case when excluded.crossing >= coalesce(known.crossing, 0)"
        "  then excluded.level else known.level end,"
        " crossing = greatest(known.crossing, excluded.crossing),"
        " zero_crossing = greatest(known.zero_crossing, excluded.zero_crossing)",
        account_id,
        level,
        crossing,
    )


async def note_restored(connection: Connection, account_id: str, restored_at: datetime) -> None:
    """Save when a service of the account was last on again."""
    await connection.execute(
        "insert into notifier.level (account_id, restored_at) values ($1, $2)"
        " on conflict (account_id) do update"
        " set restored_at = greatest(level.restored_at, excluded.restored_at)",
        account_id,
        restored_at,
    )

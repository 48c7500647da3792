"""I12: every reader's copy is as new as its owner's record."""

from collections.abc import Hashable

from rating.audit.finding import Check, ViewRow, lasting_rows
from rating.audit.store import AuditStore
from ringfence_contracts.topics import SERVICE_SUSPENDED, TARIFF_PUBLISHED


async def check_copies(store: AuditStore, wait_s: float) -> Check:
    """Compare copies with records. What is on its way gets `wait_s` seconds to arrive."""
    check = Check("I12", "every reader's copy is as new as its owner's record")
    rows = await lasting_rows(lambda: store.drift("rating.drift_i12"), copy_key, wait_s)
    check.counted = f"{await store.count('report.account')} accounts"
    for row in rows:
        check.differs(copy_difference(row))
    return check


def copy_key(row: ViewRow) -> Hashable:
    """What identifies a difference of I12."""
    return row["topic"], row["reader"], row["key"]


def copy_difference(row: ViewRow) -> str:
    """A row of rating.drift_i12 in words: the reader, the record, what it has and what is right."""
    where = f"{row['reader']}, {row['key']} ({row['topic']})"
    if row["topic"] == SERVICE_SUSPENDED.name:
        words = ("on", "off")
        return f"{where}: it is known as {words[row['copied']]}; right is {words[row['version']]}"
    if row["topic"] == TARIFF_PUBLISHED.name:
        return f"{where}: it is not known; right is that it is"
    if row["version"] == row["copied"]:
        return f"{where}: version {row['copied']} has another content than its owner's"
    return f"{where}: it has version {row['copied']}; right is {row['version']}"

"""Writes the loaded templates, each with a mail to a sample client, for operators to see: SQL."""

from collections.abc import Sequence
from datetime import datetime

from notifier.form.shown import ShownTemplate
from ringfence.postgres.pool import Pool


async def save_shown(pool: Pool, shown: Sequence[ShownTemplate], at: datetime) -> None:
    """Replace what was written by an earlier start."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('notifier.mail_template'))")
        await connection.execute("delete from notifier.mail_template")
        await connection.executemany(
            "insert into notifier.mail_template (template, language, own, folder, subject,"
            " text_body, html_body, warnings, loaded_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [(*each, at) for each in shown],
        )

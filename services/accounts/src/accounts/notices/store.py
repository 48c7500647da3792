"""Mails, read from the notifier's view `report.notice`."""

from functools import partial
from typing import Any
from uuid import UUID

from accounts.paging import by_columns, decode_cursor, page
from accounts.refusals import Unknown
from accounts.store_rows import count_for
from accounts.typed.instants import read_instant
from accounts.typed.short_ids import find_id
from ringfence.postgres.pool import Pool

_LISTED = (
    "notice_id, account_id, kind, template, number, day, cause_id, state, reason, recipient,"
    " subject, attempts, shadow, occurred_at, created_at, next_attempt_at, offered_at, sent_at"
)


_LISTED_BY = "`ringfence mails` lists the mails, each with the first digits of its id"
_TEMPLATE = "template, language, own, folder, subject, warnings, loaded_at"
_LOADED = "`ringfence template check` lists those that the notifier loads"


class NoticeStore:
    """The mails of all clients, and those to the operator."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def notices(
        self, account_id: str | None, state: str | None, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """Mails, the newest first; filtered by client and state where they are given."""
        at, notice_id = decode_cursor(cursor, read_instant, UUID)
        rows = await self._pool.fetch(
            f"select {_LISTED} from report.notice"  # noqa: S608 - this file's constant
            " where ($1::text is null or account_id = $1) and ($2::text is null or state = $2)"
            " and ($3::timestamptz is null or (created_at, notice_id) < ($3, $4::uuid))"
            " order by created_at desc, notice_id desc limit $5",
            account_id,
            state,
            at,
            notice_id,
            limit + 1,
        )
        count = await count_for(
            self._pool,
            cursor,
            "select count(*) from report.notice where ($1::text is null or account_id = $1)"
            " and ($2::text is null or state = $2)",
            account_id,
            state,
        )
        position = by_columns("created_at", "notice_id")
        return page([dict(row) for row in rows], limit, position, count)

    async def find(self, text: str) -> UUID:
        """The mail whose id begins with `text`. Raises Unknown for none, Clash for several."""
        candidates = partial(
            self._pool.fetch,
            "select notice_id from report.notice where notice_id between $1 and $2"
            " order by notice_id limit $3",
        )
        return await find_id("notice_id", text, candidates, _LISTED_BY)

    async def notice(self, notice_id: UUID) -> dict[str, Any]:
        """One mail, with its text as it was sent. Raises Unknown."""
        row = await self._pool.fetchrow(
            f"select {_LISTED}, text, html from report.notice"  # noqa: S608 - as above
            " where notice_id = $1",
            notice_id,
        )
        if row is None:
            raise Unknown("notice_id", str(notice_id), _LISTED_BY)
        return dict(row)

    async def templates(self) -> list[dict[str, Any]]:
        """The templates of mails as the notifier loaded them, by language."""
        rows = await self._pool.fetch(
            f"select {_TEMPLATE} from report.mail_template order by language, template"  # noqa: S608
        )
        return [dict(row) for row in rows]

    async def template(self, template: str, language: str) -> dict[str, Any]:
        """One template, with the mail that it makes for a sample client. Raises Unknown."""
        row = await self._pool.fetchrow(
            f"select {_TEMPLATE}, text, html from report.mail_template"  # noqa: S608 - as above
            " where template = $1 and language = $2",
            template,
            language,
        )
        if row is None:
            raise Unknown("template", f"{template} ({language})", _LOADED)
        return dict(row)

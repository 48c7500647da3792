"""Links to clients' own pages, and the sessions that they open, in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from accounts.access.clients.store_ending import end_links, record
from accounts.access.new_secrets import new_secret
from accounts.access.scopes import Caller, ClientUse
from accounts.access.tokens import digest_of
from accounts.clients.account import Account
from accounts.operations.store import enqueue_command
from accounts.store_rows import as_account, known_account
from ringfence.clock import Clock
from ringfence.mail.client_link import ClientLink, make_client_link, mark_of
from ringfence.postgres.pool import Connection, Pool
from ringfence.postgres.pruning import PruneRule
from ringfence_contracts.events.operator import OperatorRequested

CLIENT = "client"
"""Who changed something, where it was the client at its own page."""

PREFIX = "client_"
LONGEST_SESSION = timedelta(hours=12)
MOST_SESSIONS = 20
"""In use by one client; a further one ends the oldest."""

MAIL_EVERY = timedelta(minutes=10)
"""A client who asks for a link more often gets one mail in this time."""

MOST_OF_ADDRESS = 10
"""So many clients with one address are mailed a link; those beyond ask the operator."""

PRUNED = (
    PruneRule("accounts.client_session", "expires_at"),
    PruneRule("accounts.client_link_change", "changed_at"),
)


@dataclass(frozen=True)
class OpenedPage:
    """A new session of a client, with its secret, which is in no table."""

    secret: str
    account_id: str
    may_change: bool
    expires_at: datetime


def addresses_of(account: Account) -> Sequence[str]:
    """The addresses that get a client's mails, and so its links."""
    return [account.client.email, *account.client.cc]


class ClientAccess:
    """The links and sessions of clients."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def find(self, presented: bytes) -> Caller | None:
        """The client whose session's token was `presented`; None for one that is not in use.

        It is looked up at each request: a session that ended is refused at once.
        """
        row = await self._pool.fetchrow(
            "select account_id, may_change, expires_at from accounts.client_session"
            " where digest = $1 and ended_at is null and expires_at > $2",
            digest_of(presented),
            self._clock.now(),
        )
        if row is None:
            return None
        use = ClientUse(row["account_id"], row["may_change"], digest_of(presented))
        return Caller(CLIENT, frozenset(), expires_at=row["expires_at"], client=use)

    async def make_link(
        self, account_id: str, key: bytes, valid_for: timedelta, may_change: bool, who: str
    ) -> tuple[str, datetime]:
        """A link's token and its end; who was given it is recorded. Raises Unknown."""
        async with self._pool.acquire() as connection, connection.transaction():
            account = await known_account(connection, account_id)
            now = self._clock.now()
            reason = "" if may_change else "to look alone"
            await record(connection, account_id, "issued", who, reason, now)
            token = make_client_link(
                account_id, addresses_of(account), key, now,
                valid_for=valid_for, may_change=may_change,
            )  # fmt: skip
            return token, now + valid_for

    async def open(self, link: ClientLink, key: bytes) -> OpenedPage | None:
        """Open a session by a link whose signature was checked; None for one that was revoked.

        A link is revoked by hand, and when an address of the client changes.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                # A request that revokes links waits for this lock, or is seen here.
                "select * from accounts.account where account_id = $1 for share",
                link.account_id,
            )
            if row is None or mark_of(addresses_of(as_account(row)), key) != link.mark:
                return None
            revoked_at = await connection.fetchval(
                "select max(changed_at) from accounts.client_link_change"
                " where account_id = $1 and what = 'revoked'",
                link.account_id,
            )
            if revoked_at is not None and link.made_at <= revoked_at:
                return None
            return await self._open(connection, link)

    async def _open(self, connection: Connection, link: ClientLink) -> OpenedPage:
        now, secret = self._clock.now(), new_secret(PREFIX)
        expires_at = min(now + LONGEST_SESSION, link.ends_at)
        await connection.execute(
            "update accounts.client_session set ended_at = $2 where digest in ("
            " select digest from accounts.client_session"
            " where account_id = $1 and ended_at is null and expires_at > $2"
            " order by created_at desc, digest offset $3)",
            link.account_id,
            now,
            MOST_SESSIONS - 1,
        )
        await connection.execute(
            "insert into accounts.client_session"
            " (digest, account_id, may_change, created_at, expires_at) values ($1, $2, $3, $4, $5)",
            digest_of(secret.encode()),
            link.account_id,
            link.may_change,
            now,
            expires_at,
        )
        return OpenedPage(secret, link.account_id, link.may_change, expires_at)

    async def end(self, digest: bytes) -> datetime:
        """End a session, at once; returns when it ended."""
        found: datetime = await self._pool.fetchval(
            "update accounts.client_session set ended_at = coalesce(ended_at, $2)"
            " where digest = $1 returning ended_at",
            digest,
            self._clock.now(),
        )
        return found

    async def revoke(self, account_id: str, who: str, reason: str) -> datetime:
        """End all links and sessions of a client, at once. Raises Unknown."""
        async with self._pool.acquire() as connection, connection.transaction():
            await known_account(connection, account_id)
            now = self._clock.now()
            await end_links(connection, account_id, who, reason, now)
            return now

    async def request_mails(self, address: str) -> int:
        """Have a link mailed to each client with this address; how many mails were requested.

        A client who was mailed one within MAIL_EVERY gets none. The mail goes to the address on
        file, which is equal to this one except for capital letters.
        """
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            locked = await connection.fetch(
                "select account_id, currency from accounts.account"
                " where lower(client ->> 'email') = lower($1)"
                " order by account_id limit $2 for no key update",
                address,
                MOST_OF_ADDRESS,
            )
            # A statement of its own: it sees what another request did before it had the lock.
            recent = await connection.fetch(
                "select account_id from accounts.client_link_change"
                " where account_id = any($1) and what = 'requested' and changed_at > $2",
                [row["account_id"] for row in locked],
                now - MAIL_EVERY,
            )
            mailed = {row["account_id"] for row in recent}
            rows = [row for row in locked if row["account_id"] not in mailed]
            for row in rows:
                await record(connection, row["account_id"], "requested", CLIENT, "", now)
                await enqueue_command(connection, _mail_command(dict(row), now))
            return len(rows)


def _mail_command(row: dict[str, Any], now: datetime) -> OperatorRequested:
    """The command by which the notifier mails a link: it makes the link itself."""
    return OperatorRequested(
        request_id=uuid4(),
        service="notifier",
        command="mail.link",
        arguments={"account_id": row["account_id"], "currency": row["currency"]},
        requested_by=CLIENT,
        reason="asked for a link to the own page",
        requested_at=now,
    )

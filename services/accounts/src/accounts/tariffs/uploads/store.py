"""The tables of uploaded decks. One is kept for a day: to be looked at, mapped and compared."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import IO, Any
from uuid import UUID, uuid4

from asyncpg import Record

from accounts.refusals import Unknown
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool

KEPT = timedelta(days=1)
MOST = 20
"""Decks of all tariffs: more than that, and the oldest are deleted. Each has up to 100 MiB."""

_PIECE = 256 * 1024
_ALL = (
    "select deck_id, tariff_id, file_name, bytes, uploaded_by, uploaded_at"
    " from accounts.uploaded_deck"
)


class UploadStore:
    """Uploaded decks."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def add(
        self, tariff_id: str, file_name: str, upload: IO[bytes], who: str
    ) -> dict[str, Any]:
        """Store a file, and delete those that are a day old or too many."""
        deck_id, now = uuid4(), self._clock.now()
        size = upload.seek(0, 2)
        upload.seek(0)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "delete from accounts.uploaded_deck where uploaded_at < $1 or deck_id in"
                " (select deck_id from accounts.uploaded_deck order by uploaded_at desc offset $2)",
                now - KEPT,
                MOST - 1,
            )
            await connection.execute(
                "insert into accounts.uploaded_deck values ($1, $2, $3, $4, $5, $6)",
                deck_id,
                tariff_id,
                file_name,
                size,
                who,
                now,
            )
            await connection.copy_records_to_table(
                "uploaded_deck_piece", schema_name="accounts", records=_pieces(deck_id, upload)
            )
        return _deck(deck_id, tariff_id, file_name, size, who, now)

    async def decks(self, tariff_id: str) -> list[dict[str, Any]]:
        """The decks of a tariff, the newest first."""
        rows = await self._pool.fetch(
            f"{_ALL} where tariff_id = $1 and uploaded_at >= $2 order by uploaded_at desc",
            tariff_id,
            self._clock.now() - KEPT,
        )
        return [_deck(*row.values()) for row in rows]

    async def deck(self, tariff_id: str, deck_id: UUID) -> dict[str, Any]:
        """One deck. Raises Unknown."""
        return _deck(*(await self._row(tariff_id, deck_id)).values())

    async def read(self, tariff_id: str, deck_id: UUID, into: IO[bytes]) -> None:
        """Write the file into `into`, a piece at a time. Raises Unknown."""
        await self._row(tariff_id, deck_id)
        number = 0
        while piece := await self._pool.fetchval(
            "select content from accounts.uploaded_deck_piece where deck_id = $1 and number = $2",
            deck_id,
            number,
        ):
            into.write(piece)
            number += 1

    async def delete(self, tariff_id: str, deck_id: UUID) -> None:
        """Delete a deck. Raises Unknown."""
        await self._row(tariff_id, deck_id)
        await self._pool.execute("delete from accounts.uploaded_deck where deck_id = $1", deck_id)

    async def _row(self, tariff_id: str, deck_id: UUID) -> Record:
        row = await self._pool.fetchrow(
            f"{_ALL} where tariff_id = $1 and deck_id = $2 and uploaded_at >= $3",
            tariff_id,
            deck_id,
            self._clock.now() - KEPT,
        )
        if row is None:
            expected = "a file is kept for a day: upload it again"
            raise Unknown("deck", str(deck_id), expected)
        return row


def _pieces(deck_id: UUID, upload: IO[bytes]) -> Iterator[tuple[UUID, int, bytes]]:
    number = 0
    while piece := upload.read(_PIECE):
        yield deck_id, number, piece
        number += 1


def _deck(
    deck_id: UUID, tariff_id: str, file_name: str, size: int, who: str, at: datetime
) -> dict[str, Any]:
    return {
        "deck_id": str(deck_id),
        "tariff_id": tariff_id,
        "file_name": file_name,
        "bytes": size,
        "uploaded_by": who,
        "uploaded_at": at,
        "ends_at": at + KEPT,
    }

"""What is remembered of a tariff's files, by the tariff or by a name that several tariffs share."""

from datetime import datetime
from typing import NamedTuple

from accounts.tariffs.decks.layout import DeckLayout, layout_of
from ringfence.postgres.pool import Connection


class NamedLayout(NamedTuple):
    """The layout of a tariff's files; `name` is that of a carrier's layout, or None."""

    tariff_id: str
    name: str | None
    layout: DeckLayout


async def find_layout(connection: Connection, tariff_id: str, name: str | None) -> NamedLayout:
    """The layout of this name, else the one that the tariff's files had last; an empty one if none.

    A name that is not known yet begins with what is remembered of the tariff.
    """
    own = await connection.fetchrow(
        "select m.layout, m.columns, m.settings from accounts.tariff_mapping m"
        " where m.tariff_id = $1",
        tariff_id,
    )
    wanted = name or (own["layout"] if own else None)
    shared = wanted and await connection.fetchrow(
        "select name, columns, settings from accounts.deck_layout where name = $1", wanted
    )
    found = shared or own
    layout = layout_of(found["columns"], found["settings"]) if found else DeckLayout()
    return NamedLayout(tariff_id, wanted, layout)


async def save_layout(connection: Connection, layout: NamedLayout, who: str, now: datetime) -> None:
    """Remember a layout for the next file, in the caller's transaction."""
    columns, settings = dict(layout.layout.mapping), layout.layout.settings()
    if layout.name is not None:
        await connection.execute(
            "insert into accounts.deck_layout (name, columns, settings, changed_by, changed_at)"
            " values ($1, $2, $3, $4, $5) on conflict (name) do update set"
            " columns = excluded.columns, settings = excluded.settings,"
            " changed_by = excluded.changed_by, changed_at = excluded.changed_at",
            layout.name,
            columns,
            settings,
            who,
            now,
        )
    await connection.execute(
        "insert into accounts.tariff_mapping"
        " (tariff_id, columns, changed_by, changed_at, settings, layout)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (tariff_id) do update set"
        " columns = excluded.columns, changed_by = excluded.changed_by,"
        " changed_at = excluded.changed_at, settings = excluded.settings,"
        " layout = excluded.layout",
        layout.tariff_id,
        columns,
        who,
        now,
        settings,
        layout.name,
    )


async def forget_layout(connection: Connection, tariff_id: str) -> None:
    """Forget what is remembered of a tariff's files."""
    await connection.execute("delete from accounts.tariff_mapping where tariff_id = $1", tariff_id)

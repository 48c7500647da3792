"""The versions of a file whose rows have dates: a complete one for each distinct date.

Each is made from the one before: at its instant, rows that begin replace those of their prefix, and
rows that end go. A prefix whose rows are all to come keeps the row of the version in force until
then.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from accounts.tariffs.decks.rows import STORED
from accounts.tariffs.store_doubts import first_prices
from accounts.tariffs.store_rows import BOUND_S, STAGED, Content, digest_of, rows_of
from accounts.tariffs.store_versions import (
    VersionSpec,
    check_digest,
    in_force,
    lock_tariff,
    publish,
)
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.errors import BadInput

MOST_VERSIONS = 12


class DatedContent(NamedTuple):
    """The rows of a version, and the instant from which it is in force; None: from the import on.

    `previous` is the relation that it is compared with; None: the version in force then.
    """

    content: Content
    effective_from: datetime | None
    previous: str | None


async def publish_file(
    connection: Connection, staged: Content, spec: VersionSpec, who: str, clock: Clock
) -> tuple[dict[str, Any], bool]:
    """Publish the versions that a staged file makes. Returns the first, and whether any is new.

    The first has the prices of its first rows as `prices`, the others as `later`, and the digest
    that a person confirms as `digest`. Idempotent, as each version is.
    """
    if not spec.dry_run:
        await lock_tariff(connection, spec.tariff_id)
    at = spec.effective_from or clock.now()
    base = await in_force(connection, spec.tariff_id, at)
    contents = await dated_contents(connection, staged, base["version_id"] if base else None, at)
    digest = _file_digest(contents)
    if len(contents) > 1:
        check_digest(spec, digest)
        spec = replace(spec, sha256=None)
    made = []
    for number, each in enumerate(contents):
        own = replace(spec, effective_from=each.effective_from or spec.effective_from)
        own = own if number == 0 else replace(own, base=None)
        made.append(
            await publish(connection, each.content, own, who, clock, previous=each.previous)
        )
    answer, _ = made[0]
    answer["prices"] = await first_prices(connection, contents[0].content.relation)
    answer["digest"] = digest
    answer["later"] = [{**version, "new": new} for version, new in made[1:]]
    for version, _ in made[1:]:
        answer["warnings"] += [w for w in version["warnings"] if w not in answer["warnings"]]
    return answer, any(new for _, new in made)


def _file_digest(contents: Sequence[DatedContent]) -> str:
    """The digest of all versions of a file: of one version, that of its rows."""
    if len(contents) == 1:
        return contents[0].content.sha256
    lines = (f"{each.effective_from or ''} {each.content.sha256}\n" for each in contents)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


async def dated_contents(
    connection: Connection, staged: Content, base: int | None, at: datetime
) -> Sequence[DatedContent]:
    """The versions that a staged file makes, the first one first.

    `base` is the version in force at `at`, when the import takes effect. Raises BadInput when the
    dates are more than MOST_VERSIONS, or no row is in force after one of them.
    """
    dated = await connection.fetchval(
        f"select exists (select from {STAGED}"  # noqa: S608 - a relation of ours
        " where effective_at is not null or end_at is not null)"
    )
    if not dated:
        return [DatedContent(staged, None, None)]
    found: list[DatedContent] = []
    for number, instant in enumerate(await _instants(connection, at)):
        content = await _at(connection, f"dated_{number}", base, instant)
        if content.rows == 0:
            if not found:
                continue  # no row is in force yet: the version before stays
            raise BadInput(
                "EndDate", instant.isoformat(), "a row that is in force afterwards: all end by then"
            )
        first = number == 0
        previous = found[-1].content.relation if found else None
        found.append(DatedContent(content, None if first else instant, previous))
    if not found:
        raise BadInput("EndDate", "", "a row that has not ended yet")
    return found


async def _instants(connection: Connection, at: datetime) -> list[datetime]:
    later = await connection.fetch(
        "select distinct instant from ("  # noqa: S608 - a relation of ours
        f"select effective_at as instant from {STAGED} union select end_at from {STAGED}"
        ") each where instant > $1 order by instant limit $2",
        at,
        MOST_VERSIONS + 1,
        timeout=BOUND_S,
    )
    if len(later) > MOST_VERSIONS:
        expected = (
            f"at most {MOST_VERSIONS} distinct dates in a file, because each makes a complete "
            "version: split the file by date, and import the nearest first"
        )
        raise BadInput("EffectiveDate", f"more than {MOST_VERSIONS} dates", expected)
    return [at, *(row["instant"] for row in later)]


async def _at(connection: Connection, name: str, base: int | None, instant: datetime) -> Content:
    """The rows in force at an instant, in a temporary table of this transaction."""
    columns = ", ".join(STORED)
    await connection.execute(f"create temporary table {name} (like pg_temp.staged) on commit drop")
    await connection.execute(
        f"insert into pg_temp.{name} (line, {columns})"  # noqa: S608 - names of ours
        f" select distinct on (prefix) line, {columns} from {STAGED}"
        " where (effective_at is null or effective_at <= $1)"
        " and (end_at is null or end_at > $1)"
        " order by prefix, effective_at desc nulls last",
        instant,
        timeout=BOUND_S,
    )
    begun = await connection.fetchval(
        f"select exists (select from pg_temp.{name})"  # noqa: S608 - a name of ours
    )
    if begun:
        await connection.execute(
            f"insert into pg_temp.{name} ({columns})"  # noqa: S608 - names of ours
            f" select {columns} from {rows_of(base)} old where prefix in (select prefix"
            f" from {STAGED} group by prefix having min(coalesce(effective_at, $1)) > $1)",
            instant,
            timeout=BOUND_S,
        )
    await connection.execute(f"analyze pg_temp.{name}")
    rows: int = await connection.fetchval(
        f"select count(*) from pg_temp.{name}"  # noqa: S608 - a name of ours
    )
    relation = f"pg_temp.{name}"
    return Content(relation, rows, await digest_of(connection, relation) if rows else "")

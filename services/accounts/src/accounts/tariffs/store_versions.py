"""A new version of a tariff: compared with the one in force, written and published."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from asyncpg import Record

from accounts.refusals import Clash, Unknown
from accounts.store_rows import lock_name
from accounts.tariffs.store_doubts import doubts_about_change
from accounts.tariffs.store_rows import BOUND_S, Content, rows_of, summary, write_rows
from ringfence.clock import Clock
from ringfence.postgres.outbox import enqueue
from ringfence.postgres.pool import Connection
from ringfence_contracts import ids
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.tariff import TariffPublished
from ringfence_contracts.records import Outgoing
from ringfence_contracts.topics import TARIFF_PUBLISHED

VERSION = (
    "select version_id, tariff_id, name, currency, effective_from, rows, sha256, created_at,"
    " created_by, restores from accounts.tariff_version"
)
# Of two versions that are effective from the same instant, the later one counts, as in rating.
_NEWEST_FIRST = " order by effective_from desc, version_id desc"


@dataclass(frozen=True)
class VersionSpec:
    """The fields of a new version of a tariff, without its rows.

    `name` and `currency` None: as before; `effective_from` None: now. `base` and `sha256` are
    what a person confirmed: the version (0: none) that the rows were compared with, and the
    digest of the rows. `restores` is the version whose rows are restored. `largest` is how many
    changes of each kind are shown.
    """

    tariff_id: str
    name: str | None = None
    currency: str | None = None
    effective_from: datetime | None = None
    dry_run: bool = False
    base: int | None = None
    sha256: str | None = None
    largest: int = 20
    restores: int | None = None


async def publish(
    connection: Connection,
    content: Content,
    spec: VersionSpec,
    who: str,
    clock: Clock,
    previous: str | None = None,
) -> tuple[dict[str, Any], bool]:
    """Write a version and its event in the caller's transaction. Returns it, and if it is new.

    Idempotent: a version with the same rows that is in force from the same instant (or now, if
    no instant is given) is returned unchanged. A dry run writes nothing. Raises Clash for a
    currency other than before, and when the result would differ from what was confirmed. The rows
    are compared with those of the relation `previous`; None: with the version in force then.
    """
    if not spec.dry_run:
        await lock_tariff(connection, spec.tariff_id)
    now = clock.now()
    at = spec.effective_from or now
    base = await in_force(connection, spec.tariff_id, at)
    version = await _draft(connection, content, spec, at, who)
    compared = base["version_id"] if base and previous is None else None
    old = previous or rows_of(compared)
    diff = await summary(connection, content.relation, old, compared, spec.largest)
    if base is not None and _is_again(base, content, spec):
        return {**base, "diff": diff, "warnings": []}, False
    _check_confirmed(spec, base, content)
    warnings = await _warnings(connection, version, now)
    warnings += await doubts_about_change(connection, content.relation, old)
    if not spec.dry_run:
        version = await _write(connection, version, content, now)
    return {**version, "diff": diff, "warnings": warnings}, True


async def lock_tariff(connection: Connection, tariff_id: str) -> None:
    """Wait until no other transaction makes a version of the tariff."""
    await lock_name(connection, f"tariff:{tariff_id}", bound_s=BOUND_S)


async def in_force(
    connection: Connection, tariff_id: str, at: datetime, skip: int = 0
) -> Record | None:
    """The version in force at an instant, or the one `skip` places before it; None if none is."""
    return await connection.fetchrow(
        f"{VERSION} where tariff_id = $1 and effective_from <= $2{_NEWEST_FIRST} offset $3 limit 1",
        tariff_id,
        at,
        skip,
    )


def _is_again(base: Record, content: Content, spec: VersionSpec) -> bool:
    same_instant = spec.effective_from in (None, base["effective_from"])
    return same_instant and base["sha256"] == content.sha256 and base["rows"] == content.rows


def _check_confirmed(spec: VersionSpec, base: Record | None, content: Content) -> None:
    current = base["version_id"] if base else 0
    if spec.base not in (None, current):
        what = f"version {current} is in force then by now: look at the differences again"
        raise Clash("base", spec.base, what)
    check_digest(spec, content.sha256)


def check_digest(spec: VersionSpec, sha256: str) -> None:
    """Refuse rows that are not those which a person confirmed. Raises Clash."""
    if spec.sha256 not in (None, sha256):
        what = f"the file's rows are {sha256} by now: look at the differences again"
        raise Clash("sha256", spec.sha256, what)


async def _draft(
    connection: Connection, content: Content, spec: VersionSpec, at: datetime, who: str
) -> dict[str, Any]:
    latest = await connection.fetchrow(
        f"{VERSION} where tariff_id = $1 order by version_id desc limit 1", spec.tariff_id
    )
    currency = spec.currency or (latest["currency"] if latest else None)
    if currency is None:
        raise BadInput("currency", None, "a currency for the tariff's first version, such as CAD")
    if latest is not None and latest["currency"] != currency:
        what = f"tariff {spec.tariff_id} is kept in {latest['currency']}; use another id"
        raise Clash("currency", currency, what)
    return {
        "version_id": None,
        "tariff_id": spec.tariff_id,
        "name": spec.name or (latest["name"] if latest else spec.tariff_id),
        "currency": currency,
        "effective_from": at,
        "rows": content.rows,
        "sha256": content.sha256,
        "created_at": None,
        "created_by": who,
        "restores": spec.restores,
    }


async def _warnings(connection: Connection, version: dict[str, Any], now: datetime) -> list[str]:
    """Properties of a new version that are allowed but may be mistakes."""
    warnings = []
    if version["effective_from"] < now:
        warnings.append(
            "it is effective from an instant in the past: calls that were rated already keep "
            "their charges"
        )
    later = await connection.fetchrow(
        f"{VERSION} where tariff_id = $1 and effective_from > $2"
        " order by effective_from, version_id desc limit 1",
        version["tariff_id"],
        version["effective_from"],
    )
    if later is not None:
        at = later["effective_from"].isoformat(timespec="seconds")
        warnings.append(f"version {later['version_id']} takes over from it at {at}")
    return warnings


async def _write(
    connection: Connection, version: dict[str, Any], content: Content, now: datetime
) -> dict[str, Any]:
    version_id: int = await connection.fetchval(
        "insert into accounts.tariff_version (tariff_id, name, currency, effective_from, rows,"
        " sha256, created_at, created_by, restores)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning version_id",
        version["tariff_id"],
        version["name"],
        version["currency"],
        version["effective_from"],
        version["rows"],
        version["sha256"],
        now,
        version["created_by"],
        version["restores"],
    )
    await write_rows(connection, version_id, content.relation)
    new = {**version, "version_id": version_id, "created_at": now}
    await enqueue(connection, "accounts", [tariff_event(new)])
    return new


def tariff_event(version: Mapping[str, Any]) -> Outgoing:
    """`tariff.published.v1` of a version, the same each time."""
    data = TariffPublished.model_validate({**version, "published_at": version["created_at"]})
    return Outgoing(
        topic=TARIFF_PUBLISHED,
        key=data.tariff_id,
        value=data.to_json(),
        event_id=ids.derive(TARIFF_PUBLISHED.name, data.version_id),
        time=data.published_at,
        source="accounts",
    )


class RestoredVersion(NamedTuple):
    """An existing version to restore, and its rows."""

    version_id: int
    content: Content


async def to_restore(
    connection: Connection, tariff_id: str, version_id: int | None, at: datetime
) -> RestoredVersion:
    """The version whose rows are restored. Raises Unknown.

    `version_id` None: the version that was in force before the one in force at `at`.
    """
    if version_id is None:
        found = await in_force(connection, tariff_id, at, skip=1)
        expected = "there is none before the one that is in force then"
    else:
        found = await connection.fetchrow(
            f"{VERSION} where tariff_id = $1 and version_id = $2", tariff_id, version_id
        )
        expected = f"`ringfence tariff versions {tariff_id}` lists them"
    if found is None:
        raise Unknown("version", str(version_id or "one before"), expected)
    content = Content(rows_of(found["version_id"]), found["rows"], found["sha256"])
    return RestoredVersion(found["version_id"], content)

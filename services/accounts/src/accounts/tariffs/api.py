"""/v1/tariffs: rate decks as CSV; each upload is a whole, immutable version."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import MONEY, READ
from accounts.tariffs.answers import (
    LayoutAnswer,
    NewVersion,
    RateChangePage,
    RateLinePage,
    RateOfNumber,
    TariffList,
    TimedVersion,
    VersionDiff,
    VersionList,
)
from accounts.tariffs.decks.columns import FIELDS, merged, read_mapping
from accounts.tariffs.decks.reader import TariffReader
from accounts.tariffs.decks.text_lines import MAX_LINE
from accounts.tariffs.import_query import ImportQuery, NewVersionFields
from accounts.tariffs.store_versions import VersionSpec
from accounts.tariffs.workbooks.opening import opened
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/tariffs", tags=["tariffs"])
MAX_TARIFF = 100 * 1024 * 1024
IN_MEMORY = 1024 * 1024
_CSV_BODY = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {}}}}}

Version = Annotated[int, Query(ge=1, le=2**31 - 1)]
Largest = Annotated[int, Query(ge=0, le=1000, description="how many rows of each kind are shown")]
ChangeKind = Literal["added", "removed", "dearer", "cheaper", "changed"]


class RollbackBody(NewVersionFields):
    """The version whose rows are restored; left out: the one before."""

    to: int | None = Field(None, ge=1, le=2**31 - 1)


@router.post(
    "/{tariff_id}/versions",
    openapi_extra=_CSV_BODY,
    max_body_size=MAX_TARIFF,
    response_model=NewVersion,
    response_model_exclude_unset=True,
    responses={201: {"model": NewVersion}},
    dependencies=[MONEY],
)
async def post_version(
    tariff_id: Id,
    request: Request,
    deps: Deps,
    who: Who,
    response: Response,
    query: Annotated[ImportQuery, Query()],
) -> dict[str, Any]:
    """Import a tariff file as the tariff's next version, or show what that would change.

    A file is CSV (separated by commas, semicolons, tabs or bars) or a workbook (xlsx). Required
    columns: Description, Prefix, RateValue, Increment, or what they are mapped to; the parameters
    and `map` describe other layouts, and are remembered with the tariff when a version is made.
    Columns that nothing reads must be named by `ignore_columns`. Rows with dates make one version
    for each date, listed in `later`. If any row is bad, nothing of the file takes effect; all bad
    rows are counted and the first are listed by line. `diff` compares with the version in force at
    `effective_from`.
    """
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as upload:
        async for chunk in request.stream():
            upload.write(chunk)
        return answer_of(response, query, await import_from(upload, tariff_id, query, deps, who))


async def import_from(
    upload: IO[bytes], tariff_id: str, query: ImportQuery, deps: Deps, who: str
) -> dict[str, Any]:
    """Import a file: the first version that it makes, and how the file was read."""
    remembered = await deps.tariffs.layout(tariff_id, query.layout)
    layout = query.layout_from(remembered.layout)
    spec = VersionSpec(tariff_id=tariff_id, **query.version_fields())
    changed = layout != remembered.layout or query.layout is not None
    remember = remembered._replace(layout=layout) if changed else None
    with await opened(upload, layout.sheet, decimal_comma=layout.decimal_comma) as table:
        reader = TariffReader(lines_of(table), layout)
        version, new = await deps.tariffs.import_file(reader, spec, who, remember)
    read = {"columns": _columns(layout.mapping), "unused_columns": reader.unused}
    return {**version, "new": new, "dry_run": query.dry_run, **read, "layout": remembered.name}


def lines_of(upload: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, each read up to one byte more than a line may have."""
    return iter(partial(upload.readline, MAX_LINE + 1), b"")


def answer_of(
    response: Response, asked: NewVersionFields, version: dict[str, Any]
) -> dict[str, Any]:
    """The version, with the status 201 if it was made by this request."""
    response.status_code = 201 if version["new"] and not asked.dry_run else 200
    return version


@router.post(
    "/{tariff_id}/rollback",
    response_model=NewVersion,
    response_model_exclude_unset=True,
    responses={201: {"model": NewVersion}},
    dependencies=[MONEY],
)
async def post_rollback(
    tariff_id: Id, body: RollbackBody, deps: Deps, who: Who, response: Response
) -> dict[str, Any]:
    """Make a new version with the rows of an older one, or show what that would change."""
    spec = VersionSpec(tariff_id=tariff_id, restores=body.to, **body.model_dump(exclude={"to"}))
    version, new = await deps.tariffs.rollback(spec, who)
    return answer_of(response, body, {**version, "new": new, "dry_run": body.dry_run})


@router.get("", response_model=TariffList, response_model_exclude_unset=True, dependencies=[READ])
async def list_tariffs(deps: Deps) -> dict[str, Any]:
    """Every tariff, as its latest version."""
    return {"items": await deps.tariffs.latest(), "next": None}


@router.get(
    "/{tariff_id}/versions",
    response_model=VersionList,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def list_versions(tariff_id: Id, deps: Deps) -> dict[str, Any]:
    """All versions of a tariff, the newest first."""
    return {"items": await deps.tariffs.versions(tariff_id), "next": None}


@router.get(
    "/{tariff_id}/version",
    response_model=TimedVersion,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_version(tariff_id: Id, deps: Deps, version: Version | None = None) -> dict[str, Any]:
    """One version of a tariff: the one in force unless one is named."""
    return await deps.tariffs.version(tariff_id, version)


@router.get(
    "/{tariff_id}/rate",
    response_model=RateOfNumber,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_rate(
    tariff_id: Id,
    deps: Deps,
    number: Annotated[str, Query(max_length=40, description="digits with country code")],
    version: Version | None = None,
) -> dict[str, Any]:
    """The row that a number matches, or null; in the version in force unless one is named.

    The number correction of a package is not applied: this looks in the rate deck alone.
    """
    digits = number.strip().removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise BadInput("number", number, "digits with country code, such as 14165550100")
    found = await deps.tariffs.version(tariff_id, version)
    rate = await deps.tariffs.rate_for(found["version_id"], digits)
    return {"number": digits, "version": found, "rate": rate}


@router.get(
    "/{tariff_id}/rates",
    response_model=RateLinePage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def list_rates(
    tariff_id: Id,
    deps: Deps,
    version: Version | None = None,
    starts: Annotated[str, Query(pattern=r"^[0-9]{0,15}$", description="first digits")] = "",
    cursor: PageCursor = None,
    limit: PageLimit = 100,
) -> dict[str, Any]:
    """The rows of a version, by prefix; of the one in force unless one is named."""
    found = await deps.tariffs.version(tariff_id, version)
    return await deps.tariffs.rates(found["version_id"], starts, cursor, limit)


@router.get(
    "/{tariff_id}/diff",
    response_model=VersionDiff,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_diff(
    tariff_id: Id,
    deps: Deps,
    old: Version,
    new: Version,
    largest: Largest = 20,
) -> dict[str, Any]:
    """The differences between two versions: counts, and the largest changes."""
    return await deps.tariffs.diff(tariff_id, old, new, largest)


@router.get(
    "/{tariff_id}/changes",
    response_model=RateChangePage,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def list_changes(
    tariff_id: Id,
    deps: Deps,
    old: Version,
    new: Version,
    kind: ChangeKind | None = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
) -> dict[str, Any]:
    """Every row by which one version differs from another, by prefix."""
    return await deps.tariffs.changes(tariff_id, old, new, kind, cursor, limit)


@router.get("/{tariff_id}/mapping", dependencies=[READ])
async def get_mapping(tariff_id: Id, deps: Deps) -> dict[str, str]:
    """The name of each column in the tariff's files."""
    return _columns((await deps.tariffs.layout(tariff_id)).layout.mapping)


@router.put("/{tariff_id}/mapping", dependencies=[MONEY])
async def put_mapping(tariff_id: Id, body: dict[str, Text], deps: Deps, who: Who) -> dict[str, str]:
    """Replace the column names of the tariff's files, such as {"Prefix": "Code"}."""
    mapping = merged({}, read_mapping(body.items()))
    remembered = await deps.tariffs.layout(tariff_id)
    layout = replace(remembered.layout, mapping=mapping)
    await deps.tariffs.save_layout(remembered._replace(layout=layout), who)
    return _columns(mapping)


def _columns(mapping: Mapping[str, str]) -> dict[str, str]:
    return {field: mapping.get(field, field) for field in FIELDS}


@router.get(
    "/{tariff_id}/layout",
    response_model=LayoutAnswer,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_layout(tariff_id: Id, deps: Deps) -> dict[str, Any]:
    """All that an import remembers of the tariff's files: columns and settings."""
    found = await deps.tariffs.layout(tariff_id)
    return {"name": found.name, "columns": found.layout.mapping, **found.layout.settings()}


@router.delete(
    "/{tariff_id}/layout",
    response_model=LayoutAnswer,
    response_model_exclude_unset=True,
    dependencies=[MONEY],
)
async def delete_layout(tariff_id: Id, deps: Deps) -> dict[str, Any]:
    """Forget what is remembered of the tariff's files; a layout with a name stays for others."""
    await deps.tariffs.forget_layout(tariff_id)
    return {"name": None, "columns": {}}


@router.get(
    "/{tariff_id}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
    dependencies=[READ],
)
async def export_version(
    tariff_id: Id, deps: Deps, version: Version | None = None
) -> StreamingResponse:
    """A version as a file that can be imported again; the one in force unless one is named."""
    found = await deps.tariffs.version(tariff_id, version)
    rows = deps.tariffs.export(found["version_id"])
    return StreamingResponse(rows, media_type="text/csv; charset=utf-8")

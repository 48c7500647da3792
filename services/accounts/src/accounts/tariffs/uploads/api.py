"""/v1/tariffs/ID/decks: a file is uploaded once, looked at, compared, and made a version."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from accounts.api.dependencies import Deps, Who
from accounts.api.route_scopes import MONEY, READ
from accounts.tariffs.answers import NewVersion
from accounts.tariffs.api import IN_MEMORY, MAX_TARIFF, answer_of, import_from, lines_of
from accounts.tariffs.decks.columns import FIELDS
from accounts.tariffs.decks.look import look_at
from accounts.tariffs.import_query import ImportQuery
from accounts.tariffs.uploads.answers import DeckColumns, UploadedDeck, UploadedDeckList
from accounts.tariffs.workbooks.opening import opened
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/tariffs/{tariff_id}/decks", tags=["tariffs"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "",
    status_code=201,
    openapi_extra=_BODY,
    max_body_size=MAX_TARIFF,
    response_model=UploadedDeck,
    dependencies=[MONEY],
)
async def upload_deck(
    tariff_id: Id,
    request: Request,
    deps: Deps,
    who: Who,
    file_name: Annotated[Text, Query(description="what the file is called")] = "deck",
) -> dict[str, Any]:
    """Upload a file as the carrier sent it: CSV or a workbook. Nothing of it takes effect.

    It is kept for a day, and the 20 newest of all tariffs.
    """
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as upload:
        async for chunk in request.stream():
            upload.write(chunk)
        if not upload.tell():
            raise BadInput("tariff", "an empty file", "a file of prices: CSV or xlsx")
        return await deps.uploads.add(tariff_id, file_name, upload, who)


@router.get("", response_model=UploadedDeckList, dependencies=[READ])
async def list_decks(tariff_id: Id, deps: Deps) -> dict[str, Any]:
    """The files that were uploaded for a tariff and are still kept, the newest first."""
    return {"items": await deps.uploads.decks(tariff_id), "next": None}


@router.get("/{deck_id}", response_model=UploadedDeck, dependencies=[READ])
async def get_deck(tariff_id: Id, deck_id: UUID, deps: Deps) -> dict[str, Any]:
    """One uploaded file."""
    return await deps.uploads.deck(tariff_id, deck_id)


@router.delete("/{deck_id}", status_code=204, dependencies=[MONEY])
async def delete_deck(tariff_id: Id, deck_id: UUID, deps: Deps) -> None:
    """Delete an uploaded file. A version that was made of it stays."""
    await deps.uploads.delete(tariff_id, deck_id)


@router.get("/{deck_id}/columns", response_model=DeckColumns, dependencies=[READ])
async def get_columns(
    tariff_id: Id, deck_id: UUID, deps: Deps, query: Annotated[ImportQuery, Query()]
) -> dict[str, Any]:
    """The columns of an uploaded file as they would be read, and what they may be meant for.

    The parameters are those of an import. Nothing is refused that a mapping can correct.
    """
    remembered = await deps.tariffs.layout(tariff_id, query.layout)
    layout = query.layout_from(remembered.layout)
    async with _file(deps, tariff_id, deck_id) as upload:
        with await opened(upload, layout.sheet, decimal_comma=layout.decimal_comma) as table:
            found = look_at(lines_of(table), layout)
    return {
        **found._asdict(),
        "columns": [column._asdict() for column in found.columns],
        "fields": FIELDS,
        "layout": remembered.name,
        "remembered": remembered.layout.settings(),
    }


@router.post(
    "/{deck_id}/versions",
    response_model=NewVersion,
    response_model_exclude_unset=True,
    responses={201: {"model": NewVersion}},
    dependencies=[MONEY],
)
async def post_deck_version(
    tariff_id: Id,
    deck_id: UUID,
    deps: Deps,
    who: Who,
    response: Response,
    query: Annotated[ImportQuery, Query()],
) -> dict[str, Any]:
    """Import an uploaded file as the tariff's next version, or show what that would change."""
    async with _file(deps, tariff_id, deck_id) as upload:
        return answer_of(response, query, await import_from(upload, tariff_id, query, deps, who))


@asynccontextmanager
async def _file(deps: Deps, tariff_id: str, deck_id: UUID) -> AsyncIterator[IO[bytes]]:
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as upload:
        await deps.uploads.read(tariff_id, deck_id, upload)
        yield upload

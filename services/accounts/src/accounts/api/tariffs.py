"""/v1/tariffs: rate cards, uploaded whole as CSV, each upload an immutable version."""

import asyncio
import io
import tempfile
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from accounts.api.rooms import In, Who
from accounts.store_tariffs import TariffFile
from accounts.tariff_csv import read_rates
from ringfence.events.model import Currency, Id, Text

router = APIRouter(prefix="/tariffs", tags=["tariffs"])
MAX_TARIFF = 100 * 1024 * 1024
_IN_MEMORY = 8 * 1024 * 1024
_CSV_BODY = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {}}}}}


@router.post("/{tariff_id}/versions", openapi_extra=_CSV_BODY, max_body_size=MAX_TARIFF)
async def post_version(
    tariff_id: Id,
    request: Request,
    rooms: In,
    who: Who,
    response: Response,
    currency: Annotated[Currency, Query()],
    effective_from: Annotated[AwareDatetime | None, Query(description="left out: now")] = None,
    name: Annotated[Text | None, Query()] = None,
) -> dict[str, Any]:
    """Import a tariff file as the tariff's next version.

    Columns Description, Prefix, RateValue, Increment, and status if it has one. If one row is
    bad, all bad rows are listed by line and nothing of the file takes effect.
    """
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as upload:
        async for chunk in request.stream():
            upload.write(chunk)
        upload.seek(0)
        file = await asyncio.to_thread(_read, upload, tariff_id, name, currency, effective_from)
        version, new = await rooms.tariffs.publish(file, who)
    response.status_code = 201 if new else 200
    return version


def _read(
    upload: IO[bytes], tariff_id: str, name: str | None, currency: str, at: Any
) -> TariffFile:
    """Parse and hash a file; in a thread, for a large one takes seconds."""
    lines = io.TextIOWrapper(upload, encoding="utf-8-sig", newline="")
    try:
        return TariffFile.of(tariff_id, name, currency, at, read_rates(lines))
    finally:
        lines.detach()


@router.get("")
async def list_tariffs(rooms: In) -> dict[str, Any]:
    """Every tariff, as its latest version."""
    return {"items": await rooms.tariffs.latest(), "next": None}


@router.get("/{tariff_id}/versions")
async def list_versions(tariff_id: Id, rooms: In) -> dict[str, Any]:
    """All versions of a tariff, the newest first."""
    return {"items": await rooms.tariffs.versions(tariff_id), "next": None}

"""Reads the forms of our pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from starlette.datastructures import UploadFile
from starlette.requests import Request

from console.web.session import check_form, token_of

_LONGEST = 2000
_MOST_FIELDS = 200
_OTHER_FIELDS = 64 * 1024
"""Bytes of a form beside its file."""

_READ_AND_DROPPED = 4
"""Of a file that is too large, so many times the limit: a browser shows no answer before."""


class FileTooLarge(Exception):
    """A file of a form has more bytes than are taken, or does not say how many it has."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"at most {most} bytes")


async def read_form(request: Request, *names: str, token: str | None = None) -> dict[str, str]:
    """The fields of a form of this session, stripped; a field that is not sent is empty.

    `token` is the session's; None: an operator's. Raises ForeignForm for a form that is not of it.
    """
    form = await fields_of(request, "proof", *names)
    check_form(request, form.pop("proof"), token_of(request) if token is None else token)
    return form


async def fields_of(request: Request, *names: str) -> dict[str, str]:
    """The fields of a form, stripped and cut to what a field may hold."""
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    return {name: str(form.get(name, ""))[:_LONGEST].strip() for name in names}


async def read_choices(request: Request, name: str, most: int) -> list[str]:
    """What was ticked of a list of a form that was read: at most so many, each once."""
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    found = (str(each)[:_LONGEST].strip() for each in form.getlist(name)[:most])
    return [each for each in dict.fromkeys(found) if each]


@asynccontextmanager
async def uploaded(
    request: Request, most: int, *names: str
) -> AsyncIterator[tuple[dict[str, str], UploadFile | None]]:
    """The fields of a form of this session with a file of at most `most` bytes, and the file.

    The file is None if none was chosen. Raises FileTooLarge, and ForeignForm.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > most + _OTHER_FIELDS:
        await _drop(request, most * _READ_AND_DROPPED)
        raise FileTooLarge(most)
    async with request.form(max_files=1, max_fields=50) as form:
        check_form(request, str(form.get("proof", "")), token_of(request))
        file = form.get("file")
        fields = {name: str(form.get(name, ""))[:_LONGEST].strip() for name in names}
        chosen = file if isinstance(file, UploadFile) and file.filename else None
        yield fields, chosen


async def _drop(request: Request, most: int) -> None:
    dropped = 0
    async for chunk in request.stream():
        dropped += len(chunk)
        if dropped > most:
            return


def local_instant(text: str, zone: str) -> str:
    """A time of the operator's zone, as a browser's field writes it, with its offset.

    Raises ValueError for another text.
    """
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).isoformat()

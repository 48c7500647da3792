"""A carrier's file: dropped, its columns mapped, compared with what is in force, put in force.

What a person chose is in the address of the page: nothing is stored here, and it works without
scripts. The API keeps the file, and remembers the columns when a version is made.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.api.client import ApiAnswer, ApiRefused
from console.pages import month_costs, rates
from console.pages.rates import instant_asked, made, tariff_id, tariff_path
from console.web.forms import read_form, uploaded
from console.web.page import Visit

MAX_FILE = 100 * 1024 * 1024
_PIECE = 256 * 1024
_LARGEST = 10
_MOST_COLUMNS = 200
_NOTHING = "-"
"""The use of a column from which nothing is computed."""

_LABELS = {
    "map": "“used as”",
    "ignore-columns": "“nothing” as the use of a column",
    "header": "“first line”",
    "delimiter": "“cells are separated by”",
    "decimal": "“decimal sign”",
    "increment": "“increment of all rows”",
    "rate-per": "“rates are per”",
    "price-unit": "“prices are in”",
    "dates": "“dates are written”",
    "zone": "“dates begin in the zone”",
    "encoding": "“letters are encoded as”",
    "sheet": "“sheet”",
    "put-in-front": "“digits in front of each code”",
    "effective-from": "“in force from”",
    "currency": "“currency”",
}
"""What the page calls an option of the command."""

_OPTION = re.compile(rf"--({'|'.join(_LABELS)})\b")
_CHOICES = ("header_line", "delimiter", "decimal", "rate_per", "price_unit", "dates", "encoding")
_TEXTS = ("increment", "sheet", "put_in_front")
"""Settings that a blank field resets."""

_OTHERS = ("currency", "name", "zone", "layout")


async def upload(request: Request) -> Response:
    """Give the file to the API, and go on to its columns."""
    visit = Visit(request)
    await visit.get("/sessions/current")  # a file is read from nobody but an operator
    async with uploaded(request, MAX_FILE, "tariff", "currency") as (form, file):
        page = f"/rates/{quote(form['tariff'], safe='')}" if form["tariff"] else "/rates"
        back = "/rates" if form["currency"] else page
        if file is None or not form["tariff"]:
            lacks = "a file of prices" if form["tariff"] else "an id for the tariff"
            return visit.go(back, f"Choose {lacks} first.", bad=True)
        path = f"/tariffs/{quote(form['tariff'], safe='')}/decks"
        named = urlencode({"file_name": _printable(file.filename or "") or "deck"})
        try:
            deck = await visit.console.api.upload(visit.token, f"{path}?{named}", _pieces(file))
        except ApiRefused as error:
            return visit.go(back, *error.problems, bad=True)
    given = urlencode({"currency": form["currency"]}) if form["currency"] else ""
    return visit.go(f"{page}/decks/{deck['deck_id']}{'?' + given if given else ''}")


async def show(request: Request) -> Response:
    """The file: its columns, what is wrong with it, what it changes, what calls will cost."""
    visit = Visit(request)
    path, asked = _path(request), request.query_params
    problems: list[str] = []
    columns: ApiAnswer | None = None
    found: ApiAnswer | None = None
    bad: Mapping[str, Any] = {}
    deck, versions = await asyncio.gather(visit.get(path), _versions(visit, request))
    try:
        query = query_of(visit, asked)
        columns = await visit.console.api.compute(
            "GET", visit.token, f"{path}/columns?{urlencode(query)}"
        )
        if not (columns["missing"] or columns["open"]):
            query += [("dry_run", "true"), ("largest", str(_LARGEST))]
            found = await visit.console.api.compute(
                "POST", visit.token, f"{path}/versions?{urlencode(query)}"
            )
    except ApiRefused as error:
        problems = [in_words(problem) for problem in error.problems]
        bad = error.error if error.error.get("rows") else {}
    return visit.render(
        "rates/deck.html", deck=deck, columns=columns, found=found, problems=problems, bad=bad,
        asked=asked, query=request.url.query, is_first=not versions, settings=_settings(columns),
    )  # fmt: skip


async def put_in_force(request: Request) -> Response:
    """Make the version that was compared; refused if what is in force is another by now."""
    visit = Visit(request)
    form = await read_form(request, "base", "sha256")
    page = f"/rates/{tariff_id(request)}"
    try:
        query = [*query_of(visit, request.query_params), *form.items()]
        found = await visit.console.api.compute(
            "POST", visit.token, f"{_path(request)}/versions?{urlencode(query)}"
        )
    except ApiRefused as error:
        again = f"{page}/decks/{quote(request.path_params['deck_id'], safe='')}"
        again += f"?{request.url.query}" if request.url.query else ""
        return visit.go(again, *map(in_words, error.problems), bad=True)
    later = len(found["later"])
    more = [f"Its dates made {later} further version(s)."] if later else []
    return visit.go(page, made(visit, found), *more, *found["warnings"])


async def delete(request: Request) -> Response:
    """Delete the file: nothing of it is used."""
    visit, page = Visit(request), f"/rates/{tariff_id(request)}"
    await read_form(request)
    versions = await _versions(visit, request)
    try:
        await visit.console.api.send("DELETE", visit.token, _path(request))
    except ApiRefused as error:
        return visit.go(page, *error.problems, bad=True)
    return visit.go(page if versions else "/rates", "The file is deleted.")


def query_of(visit: Visit, asked: QueryParams) -> list[tuple[str, str]]:
    """What a person chose, as the parameters of an import. Raises ApiRefused for no time."""
    found = [(name, asked[name]) for name in (*_CHOICES, *_OTHERS) if asked.get(name)]
    found += [(name, asked[name].strip()) for name in _TEXTS if name in asked]
    if at := asked.get("effective_from"):
        found.append(("effective_from", instant_asked(visit, at)))
    used = set()
    for number in range(1, _MOST_COLUMNS + 1):
        reference, use = asked.get(f"ref{number}"), asked.get(f"use{number}")
        if not (reference and use):
            continue
        if use == _NOTHING:
            found.append(("ignore_columns", _quoted(asked.get(f"name{number}") or reference)))
            continue
        for field in use.split("+"):
            used.add(field)
            found.append(("map", f"{field}={reference}"))
    found += [("map", f"{field}=") for field in asked.getlist("was") if field not in used]
    return found


def _settings(columns: ApiAnswer | None) -> dict[str, Any]:
    """What the form shows at first: what is remembered of the tariff's files."""
    known = dict((columns or {}).get("remembered") or {})
    shown = {name: str(known.get(name) or "") for name in (*_CHOICES, *_TEXTS, "zone")}
    shown["decimal"] = "comma" if known.get("decimal_comma") else ""
    header = known.get("header", True) and (columns or {}).get("header", True)
    shown["header_line"] = "" if header else "none"
    return shown | {"layout": (columns or {}).get("layout") or ""}


async def _versions(visit: Visit, request: Request) -> list[Any]:
    try:
        return list((await visit.get(f"{tariff_path(request)}/versions"))["items"])
    except ApiRefused as error:
        if error.is_unknown:
            return []
        raise


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE):
        yield piece


def in_words(problem: str) -> str:
    """An error with the page's labels instead of the command's options."""
    return _OPTION.sub(lambda found: _LABELS[found[1]], problem)


def _quoted(name: str) -> str:
    """A name as one of a list with commas."""
    return '"' + name.replace('"', '""') + '"'


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:100].strip()


def _path(request: Request) -> str:
    return f"{tariff_path(request)}/decks/{quote(request.path_params['deck_id'], safe='')}"


ROUTES = (
    Route("/rates", rates.show),
    Route("/rates/upload", upload, methods=["POST"]),
    Route("/rates/{tariff_id}", rates.one),
    Route("/rates/{tariff_id}/changes", rates.changes),
    Route("/rates/{tariff_id}/export.csv", rates.export),
    Route("/rates/{tariff_id}/forget", rates.drop_layout, methods=["POST"]),
    Route("/rates/{tariff_id}/month", month_costs.show, methods=["GET"]),
    Route("/rates/{tariff_id}/month", month_costs.compute, methods=["POST"]),
    Route("/rates/{tariff_id}/month/part", month_costs.part),
    Route("/rates/{tariff_id}/rollback", rates.ask_rollback, methods=["GET"]),
    Route("/rates/{tariff_id}/rollback", rates.roll_back, methods=["POST"]),
    Route("/rates/{tariff_id}/decks/{deck_id}", show),
    Route("/rates/{tariff_id}/decks/{deck_id}/version", put_in_force, methods=["POST"]),
    Route("/rates/{tariff_id}/decks/{deck_id}/delete", delete, methods=["POST"]),
)
"""The pages of rates and of a carrier's file."""

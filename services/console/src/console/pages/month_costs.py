"""What a month's calls would have cost by a version: one that is to come, or one of before.

Rating prices the month's charges again, as a re-rating that writes nothing; the page shows how far
it is, and then its result.
"""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiAnswer, ApiRefused
from console.pages.rates import tariff_id, tariff_path
from console.web.forms import read_form
from console.web.page import Visit

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_SHOWN = 100


async def show(request: Request) -> Response:
    """The form, and what was computed by it."""
    visit, asked = Visit(request), request.query_params
    shown = await visit.get(f"{tariff_path(request)}/version", version=asked.get("version", ""))
    return visit.render(
        "rates/month.html",
        shown=shown,
        month=asked.get("month") or _last_month(visit),
        **await _computed(visit),
    )


async def part(request: Request) -> Response:
    """How far the computation is, or its result."""
    visit = Visit(request)
    return visit.render("rates/month_costs.html", **await _computed(visit))


async def compute(request: Request) -> Response:
    """Have rating price the calls of a month again."""
    visit = Visit(request)
    form = await read_form(request, "version", "month")
    page = f"/rates/{tariff_id(request)}/month"
    chosen = urlencode(form)
    period = period_of(form["month"])
    if period is None:
        problem = f"month: got {form['month']!r}, expected a month such as 2026-10"
        return visit.go(f"{page}?version={quote(form['version'], safe='')}", problem, bad=True)
    body = {
        "tariff": request.path_params["tariff_id"],
        "version": form["version"],
        "from": period[0],
        "to": period[1],
    }
    try:
        found = await visit.console.api.send("POST", visit.token, "/reratings", body)
    except ApiRefused as error:
        return visit.go(f"{page}?{chosen}", *error.problems, bad=True)
    return visit.go(f"{page}?{chosen}&job={found['request_id']}")


def period_of(month: str) -> tuple[str, str] | None:
    """The first days of a month such as 2026-10 and of the next one; None for what is no month."""
    found = _MONTH.fullmatch(month)
    if found is None or found[1] in ("0000", "9999"):
        return None
    year, number = int(found[1]), int(found[2])
    after = f"{year + number // 12:04}-{number % 12 + 1:02}"
    return f"{month}-01", f"{after}-01"


def _last_month(visit: Visit) -> str:
    """The last month that is complete in the operator's zone."""
    console = visit.console
    here: datetime = console.clock.now().astimezone(ZoneInfo(console.formats.zone))
    return f"{here.replace(day=1) - timedelta(days=1):%Y-%m}"


async def _computed(visit: Visit) -> dict[str, Any]:
    """The computation that the address names, with the clients whose cost differs most."""
    asked = visit.request.query_params.get("job", "")
    if not asked:
        return {"job": None}
    job: ApiAnswer = await visit.get(f"/jobs/{quote(asked, safe='')}")
    arguments, tariff = job["arguments"], visit.request.path_params["tariff_id"]
    if job["command"] != "rerate.dry_run" or arguments.get("tariff") != tariff:
        raise HTTPException(404)
    result = job["result"] if job["state"] == "done" else {"totals": [], "accounts": []}
    accounts = [_with_cost(each) for each in result["accounts"]]
    accounts.sort(key=lambda each: -abs(each["difference_micro"]))
    return {
        "job": job,
        "totals": [_with_cost(each) for each in result["totals"]],
        "accounts": accounts[:_SHOWN],
        "more": max(0, len(accounts) - _SHOWN),
    }


def _with_cost(each: ApiAnswer) -> ApiAnswer:
    """A sum with what the version makes of it; None if an earlier release of rating computed it."""
    charged = each["charged_micro"]
    return {
        **each,
        "becomes_micro": None if charged is None else charged - each["difference_micro"],
    }

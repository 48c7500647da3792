"""The CSV export of calls, with the filters of the page of calls."""

import re
from collections.abc import Iterable, Mapping

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import SESSION, FusionPbxLogins, Session, denied
from ringfence_simulators.fusionpbx.calls import (
    LEG_COLUMNS,
    SimulatedFusionPbxCall,
    export_csv,
)
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.web.expressions import (
    BadExpression,
    SelectedColumn,
    read_column,
)

_NOT_A_NUMBER = re.compile(r"[^+0-9.%/]")
NOTHING = b"\n\n"
"""The body without rows, and after an error of the database."""


class ExportPage:
    """The handler. `bodies` replace an export unchanged, by tenant (empty: `show=all`).

    `rows_sent`, `bytes_sent` and `narrow` count the rows and bytes of all exports, and the exports
    of one call.
    """

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins
        self.bodies: dict[str, bytes] = {}
        self.rows_sent = self.bytes_sent = self.narrow = 0
        self._by_uuid: dict[str, SimulatedFusionPbxCall] = {}
        self._indexed: list[SimulatedFusionPbxCall] = []

    def routes(self) -> list[web.RouteDef]:
        """The one page."""
        return [web.get("/app/xml_cdr/xml_cdr_export.php", self.export)]

    async def export(self, request: web.Request) -> web.Response:
        """The CSV of the calls that meet every filter of the query; without one, of all calls.

        `show=all` needs the right xml_cdr_all, and is ignored without it.
        """
        if answer := self._logins.check(request, dict(request.query)):
            return answer
        session = request[SESSION]
        if not session.may("xml_cdr_export"):
            return denied()
        show_all = session.may("xml_cdr_all") and request.query.get("show") == "all"
        scope = "" if show_all else session.domain
        is_narrow = bool(request.query.get("xml_cdr_uuid"))
        body = None if is_narrow else self.bodies.get(scope)
        if body is None:
            calls = self._calls(scope, request.query)
            self.rows_sent += len(calls)
            body = self._body(calls, session, show_all)
        self.narrow += is_narrow
        self.bytes_sent += len(body)
        name = "cdr.csv" if show_all else f"cdr_{session.domain}.csv"
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return web.Response(body=body, content_type="application/octet-binary", headers=headers)

    def _body(
        self, calls: Iterable[SimulatedFusionPbxCall], session: Session, show_all: bool
    ) -> bytes:
        """The export, with the columns of the default setting as they were at the login."""
        superadmin = session.user is not None and session.user.superadmin
        rows = ((call, self._pbx.exported(call)) for call in calls)
        try:
            added = [read_column(expression) for expression in session.export_columns]
            return export_csv(
                [(call, {**row, **_computed(added, row)}) for call, row in rows],
                superadmin=superadmin,
                show_all=show_all,
                added=[column.alias for column in added],
            )
        except BadExpression:
            return NOTHING

    def _calls(self, scope: str, query: Mapping[str, str]) -> list[SimulatedFusionPbxCall]:
        now = self._pbx.now()
        return [
            call
            for call in self._candidates(query)
            if call.shown_at <= now
            and scope in ("", call.columns["domain_name"].lower())
            and _meets(call, query)
        ]

    def _candidates(self, query: Mapping[str, str]) -> Iterable[SimulatedFusionPbxCall]:
        """The call of the filter `xml_cdr_uuid`, or all calls."""
        uuid = query.get("xml_cdr_uuid", "")
        if not uuid:
            return self._pbx.calls
        calls, seen = self._pbx.calls, len(self._indexed)
        if seen and (seen > len(calls) or calls[seen - 1] is not self._indexed[-1]):
            self._by_uuid, self._indexed, seen = {}, [], 0
        for call in calls[seen:]:
            self._by_uuid[call.columns["xml_cdr_uuid"].lower()] = call
            self._indexed.append(call)
        found = self._by_uuid.get(uuid.lower())
        return [found] if found else []


def _computed(added: Iterable[SelectedColumn], row: Mapping[str, str]) -> dict[str, str]:
    names = {f"c.{name}": "" for name in LEG_COLUMNS}
    names |= {f"c.{name}": value for name, value in row.items()}
    names |= {"e.extension": row["extension"], "e.effective_caller_id_name": row["extension_name"]}
    return {column.alias: column.value(names) for column in added}


def _meets(call: SimulatedFusionPbxCall, query: Mapping[str, str]) -> bool:
    """Whether a call meets the filters; PHP's empty() takes "0" for not given."""
    columns = call.columns
    start, stop = query.get("start_epoch", ""), query.get("stop_epoch", "")
    both_given = start not in ("", "0") and stop not in ("", "0")
    if both_given and not int(start) <= call.start_epoch <= int(stop):
        return False
    least, most = query.get("duration_min", ""), query.get("duration_max", "")
    duration = int(columns["duration"]) if columns["duration"].isdecimal() else -1
    if (least.isdecimal() and duration < int(least)) or (most.isdecimal() and duration > int(most)):
        return False
    if query.get("direction", "") not in ("", columns["direction"]):
        return False
    number = _NOT_A_NUMBER.sub("", query.get("destination_number", ""))
    pattern = re.escape(number).replace("%", ".*")
    return not number or re.fullmatch(pattern, columns["destination_number"]) is not None

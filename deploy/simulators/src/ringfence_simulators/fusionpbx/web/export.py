"""The CSV export of calls."""

from collections.abc import Mapping

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import SESSION, FusionPbxLogins, denied
from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall, export_csv
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx


class ExportPage:
    """The handler. `bodies` replace an export unchanged, by tenant (empty: `show=all`).

    `rows_sent` counts the rows of all exports.
    """

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins
        self.bodies: dict[str, bytes] = {}
        self.rows_sent = 0

    def routes(self) -> list[web.RouteDef]:
        """The one page."""
        return [web.get("/app/xml_cdr/xml_cdr_export.php", self.export)]

    async def export(self, request: web.Request) -> web.Response:
        """The CSV of the calls that began within the window; without one, of all calls.

        `show=all` needs the right xml_cdr_all, and is ignored without it.
        """
        if answer := self._logins.check(request, dict(request.query)):
            return answer
        session = request[SESSION]
        if not session.may("xml_cdr_export"):
            return denied()
        superadmin = session.user is not None and session.user.superadmin
        show_all = session.may("xml_cdr_all") and request.query.get("show") == "all"
        scope = "" if show_all else session.domain
        body = self.bodies.get(scope)
        if body is None:
            calls = self._calls(scope, request.query)
            self.rows_sent += len(calls)
            body = export_csv(calls, superadmin=superadmin, show_all=show_all)
        name = "cdr.csv" if show_all else f"cdr_{session.domain}.csv"
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return web.Response(body=body, content_type="application/octet-binary", headers=headers)

    def _calls(self, scope: str, query: Mapping[str, str]) -> list[SimulatedFusionPbxCall]:
        now = self._pbx.now()
        calls = [
            call
            for call in self._pbx.calls
            if call.shown_at <= now and scope in ("", call.columns["domain_name"].lower())
        ]
        start, stop = query.get("start_epoch", ""), query.get("stop_epoch", "")
        if start in ("", "0") or stop in ("", "0"):  # PHP's empty(): "0" counts as not given
            return calls
        return [call for call in calls if int(start) <= call.start_epoch <= int(stop)]

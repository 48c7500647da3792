"""FusionPBX's own pages: export, lists with their toggles, SIP commands."""

import asyncio
import re
from collections.abc import Callable, Mapping

from aiohttp import web

from ringfence_simulators.fusionpbx.calls import Call, export_csv
from ringfence_simulators.fusionpbx.faults import ROW_S
from ringfence_simulators.fusionpbx.logins import LOGIN_PATH, SESSION, Logins, Session, redirect
from ringfence_simulators.fusionpbx.model import Extension, Gateway, Pbx
from ringfence_simulators.fusionpbx.pages import (
    ListedThing,
    RunningGateway,
    gateway_page,
    list_page,
    sip_status_page,
)

LIST_PATHS = {
    "/app/gateways/gateways.php": "gateways",
    "/app/extensions/extensions.php": "extensions",
    "/core/domains/domains.php": "domains",
}
_CHECKED = re.compile(r"(gateways|extensions|domains)\[(\d+)\]\[checked\]")
DASHBOARD = "/core/dashboard/"


class Site:
    """The handlers.

    `export_bodies` are answered verbatim instead of an export, by tenant; `rows_sent` counts the
    rows of all exports.
    """

    def __init__(self, pbx: Pbx, logins: Logins, *, rows_per_page: int = 50) -> None:
        self._pbx = pbx
        self._logins = logins
        self._rows_per_page = rows_per_page
        self.export_bodies: dict[str, bytes] = {}
        self.rows_sent = 0

    def routes(self) -> list[web.RouteDef]:
        """Everything that FusionPBX serves here."""
        lists = [web.route("*", path, self.list_or_toggle) for path in LIST_PATHS]
        return [
            *lists,
            web.get(LOGIN_PATH, self.login),
            web.get("/", self.front),
            web.get("/logout.php", self.logout),
            web.get("/app/xml_cdr/xml_cdr_export.php", self.export),
            web.get("/app/gateways/gateway_edit.php", self.edit_gateway),
            web.get("/app/sip_status/cmd.php", self.command),
            web.get("/app/sip_status/sip_status.php", self.sip_status),
        ]

    async def front(self, request: web.Request) -> web.Response:
        """The front page: the login form unless somebody is logged in."""
        return self._logins.login_form(self._logins.session_of(request))

    async def login(self, request: web.Request) -> web.Response:
        """`/login.php`: the form, or on to the dashboard."""
        session = self._logins.session_of(request)
        return redirect(DASHBOARD) if session.user else self._logins.login_form(session)

    async def logout(self, request: web.Request) -> web.Response:
        """Forget the session."""
        self._logins.sessions.pop(self._logins.session_of(request).id, None)
        return redirect("/")

    async def export(self, request: web.Request) -> web.Response:
        """The CSV of the calls whose start lies within the window; without one, of all calls.

        `show=all` is heeded for superadmins only, and ignored in silence otherwise.
        """
        if answer := self._logins.check(request, dict(request.query)):
            return answer
        session = request[SESSION]
        superadmin = session.user is not None and session.user.superadmin
        show_all = superadmin and request.query.get("show") == "all"
        scope = "" if show_all else session.domain
        body = self.export_bodies.get(scope)
        if body is None:
            calls = self._calls(scope, request.query)
            self.rows_sent += len(calls)
            body = export_csv(calls, superadmin=superadmin, show_all=show_all)
        name = "cdr.csv" if show_all else f"cdr_{session.domain}.csv"
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return web.Response(body=body, content_type="application/octet-binary", headers=headers)

    def _calls(self, scope: str, query: Mapping[str, str]) -> list[Call]:
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

    async def list_or_toggle(self, request: web.Request) -> web.Response:
        """A list page, or by POST a toggle of its rows."""
        form = {k: str(v) for k, v in (await request.post()).items()}
        if answer := self._logins.check(request, {**request.query, **form}):
            return answer
        kind, session = LIST_PATHS[request.path], request[SESSION]
        assert session.user is not None
        may = session.user.superadmin or kind == "extensions"
        if form.get("action") == "toggle":
            if may and session.accepts(request.path, form):
                self._toggle(kind, session, form)
            return redirect(f"{kind}.php")
        if not may:
            return web.Response(text="access denied", content_type="text/html")
        if kind == "domains" and request.query.get("domain_change") == "true":
            return self._enter(session, request.query.get("domain_uuid", ""))
        return await self._list(request, kind, session)

    async def edit_gateway(self, request: web.Request) -> web.Response:
        """The form of one gateway, empty when there is none: superadmins only."""
        if answer := self._superadmin(request):
            return answer
        known = self._pbx.gateways.get(request.query.get("id", ""))
        html = gateway_page(known.name if known else "")
        return web.Response(text=html, content_type="text/html")

    def _toggle(self, kind: str, session: Session, form: Mapping[str, str]) -> None:
        for name, value in form.items():
            found = _CHECKED.fullmatch(name)
            if found is None or found[1] != kind or value != "true":
                continue
            uuid = form.get(f"{kind}[{found[2]}][uuid]", "")
            thing = self._pbx.listed(kind).get(uuid)
            # Extensions are toggled within the session's domain only, even by a superadmin.
            if isinstance(thing, Extension) and thing.domain.lower() != session.domain:
                continue
            self._pbx.toggle(kind, uuid)

    def _enter(self, session: Session, uuid: str) -> web.Response:
        for domain in self._pbx.domains.values():
            if domain.uuid == uuid:
                session.domain = domain.name.lower()
                return redirect(DASHBOARD)
        return web.Response(text="invalid domain", content_type="text/html")

    async def _list(self, request: web.Request, kind: str, session: Session) -> web.Response:
        assert session.user is not None
        show_all = (
            session.user.superadmin and kind != "domains" and request.query.get("show") == "all"
        )
        found = _like(request.query.get("search", ""))
        things = [
            thing
            for thing in self._things(kind, None if show_all else session.domain)
            if found(thing.name)
        ]
        page = request.query.get("page", "0")
        begin = self._rows_per_page * (int(page) if page.isdecimal() else 0)
        rows = things[begin : begin + self._rows_per_page]
        if kind == "gateways" and self._pbx.event_socket:
            # The page asks the switch once for each row.
            await asyncio.sleep(len(rows) * request.get(ROW_S, self._pbx.row_s))
        token = session.new_token(request.path)
        html = list_page(
            kind,
            rows,
            (token.name, token.value),
            show_all=show_all,
            messages=session.take_messages(),
        )
        return web.Response(text=html, content_type="text/html")

    def _things(self, kind: str, domain: str | None) -> list[ListedThing]:
        if kind == "domains":
            return [ListedThing(d.uuid, d.name, d.enabled) for d in self._pbx.domains.values()]
        if kind == "extensions":
            return [
                ListedThing(e.uuid, e.number, e.enabled, e.domain)
                for e in self._pbx.extensions.values()
                if domain in (None, e.domain.lower())
            ]
        return [
            ListedThing(
                g.uuid, g.name, g.enabled, g.domain, g.live if self._pbx.event_socket else None
            )
            for g in self._pbx.gateways.values()
            if domain in (None, g.domain.lower()) or not g.domain
        ]

    async def command(self, request: web.Request) -> web.Response:
        """`cmd.php`: superadmins only; a redirect whatever came of it."""
        if answer := self._superadmin(request):
            return answer
        query = request.query
        profile = query.get("profile", "")
        result = self._pbx.command(query.get("action", ""), profile, query.get("gateway", ""))
        if self._pbx.event_socket:
            said = f"<strong>{profile}</strong> {result}" if profile else result
            request[SESSION].say("alert", said)
        return redirect("sip_status.php")

    async def sip_status(self, request: web.Request) -> web.Response:
        """What the switch runs."""
        if answer := self._superadmin(request):
            return answer
        session, reached = request[SESSION], self._pbx.event_socket
        if not reached:
            session.say("negative", "Connection to Event Socket failed.")
        live = [_live(gateway) for gateway in self._pbx.gateways.values() if gateway.live]
        html = sip_status_page(
            self._pbx.profiles() if reached else [],
            live if reached else [],
            session.take_messages(),
        )
        return web.Response(text=html, content_type="text/html")

    def _superadmin(self, request: web.Request) -> web.Response | None:
        if answer := self._logins.check(request, dict(request.query)):
            return answer
        user = request[SESSION].user
        if user is None or not user.superadmin:
            return web.Response(text="access denied", content_type="text/html")
        return None


def _live(gateway: Gateway) -> RunningGateway:
    name = f"{gateway.name}@{gateway.domain}" if gateway.domain else gateway.name
    return RunningGateway(gateway.uuid, name, gateway.profile, gateway.registration)


def _like(search: str) -> Callable[[str], bool]:
    """SQL's LIKE of the text anywhere in a name, case apart: `_` and `%` are wildcards."""
    wild = {"_": ".", "%": ".*"}
    pattern = "".join(wild.get(c, re.escape(c)) for c in search.lower())
    return lambda name: re.search(pattern, name.lower()) is not None

"""FusionPBX's pages: logins, and the lists with the actions on their rows."""

import asyncio
import re
from collections.abc import Callable, Mapping

from aiohttp import web

from ringfence_simulators.faults import ROW_S
from ringfence_simulators.fusionpbx.access.logins import (
    LOGIN_PATH,
    SESSION,
    FusionPbxLogins,
    Session,
    denied,
    page,
    redirect,
)
from ringfence_simulators.fusionpbx.access.rights import ALLS, EDITS, VIEWS
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import Gateway, SimulatedExtension
from ringfence_simulators.fusionpbx.web.calls_active import CallPages
from ringfence_simulators.fusionpbx.web.default_settings import DefaultSettingPages
from ringfence_simulators.fusionpbx.web.dialplans import DialplanPages
from ringfence_simulators.fusionpbx.web.downloads import DownloadPages
from ringfence_simulators.fusionpbx.web.export import ExportPage
from ringfence_simulators.fusionpbx.web.extensions import ExtensionPages
from ringfence_simulators.fusionpbx.web.gateways import GatewayPages
from ringfence_simulators.fusionpbx.web.listing import listed_things
from ringfence_simulators.fusionpbx.web.pages import list_page
from ringfence_simulators.fusionpbx.web.switch import SwitchPages

LIST_PATHS = {
    "/app/gateways/gateways.php": "gateways",
    "/app/extensions/extensions.php": "extensions",
    "/core/domains/domains.php": "domains",
    "/app/destinations/destinations.php": "destinations",
}
_CHECKED = re.compile(r"(gateways|extensions|domains)\[(\d+)\]\[checked\]")
DASHBOARD = "/core/dashboard/"


class FusionPbxSite:
    """The handlers of logins and lists, and those of the other pages."""

    def __init__(
        self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins, *, rows_per_page: int = 50
    ) -> None:
        self._pbx = pbx
        self._logins = logins
        self._rows_per_page = rows_per_page
        self._exports = ExportPage(pbx, logins)
        self._gateways = GatewayPages(pbx, logins)
        self._extensions = ExtensionPages(pbx, logins)
        self._lies_about: Callable[[str], bool] = lambda _: False

    @property
    def export_bodies(self) -> dict[str, bytes]:
        """Bodies that replace an export, by tenant."""
        return self._exports.bodies

    @property
    def exports(self) -> ExportPage:
        """The page of the export, with its counts."""
        return self._exports

    @property
    def rows_sent(self) -> int:
        """The number of rows in all exports so far."""
        return self._exports.rows_sent

    def set_lies_about(self, lies_about: Callable[[str], bool]) -> None:
        """Set the function that is called before each change: True means only report it as done."""
        self._lies_about = self._extensions.lies_about = lies_about

    def routes(self) -> list[web.RouteDef]:
        """All paths of FusionPBX."""
        families = (
            self._exports,
            self._gateways,
            self._extensions,
            SwitchPages(self._pbx, self._logins),
            CallPages(self._pbx, self._logins),
            DownloadPages(self._pbx, self._logins),
            DialplanPages(self._pbx, self._logins),
            DefaultSettingPages(self._pbx, self._logins),
        )
        return [
            *(web.route("*", path, self.list_or_change) for path in LIST_PATHS),
            web.get(LOGIN_PATH, self.login),
            web.get("/", self.front),
            web.get("/logout.php", self.logout),
            *(route for family in families for route in family.routes()),
        ]

    async def front(self, request: web.Request) -> web.Response:
        """The front page, which is the login form."""
        return self._logins.login_form(self._logins.session_of(request))

    async def login(self, request: web.Request) -> web.Response:
        """`/login.php`: the form, or a redirect to the dashboard if logged in."""
        session = self._logins.session_of(request)
        return redirect(DASHBOARD) if session.user else self._logins.login_form(session)

    async def logout(self, request: web.Request) -> web.Response:
        """End the session."""
        self._logins.sessions.pop(self._logins.session_of(request).id, None)
        return redirect("/")

    async def list_or_change(self, request: web.Request) -> web.Response:
        """A list page, or by POST an action on its checked rows."""
        form = {k: str(v) for k, v in (await request.post()).items()}
        if answer := self._logins.check(request, {**request.query, **form}):
            return answer
        kind, session = LIST_PATHS[request.path], request[SESSION]
        if form.get("action") in ("toggle", "stop"):
            if session.may(EDITS.get(kind, "")) and session.accepts(request.path, form):
                await self._change(kind, session, form)
            return redirect(f"{kind}.php")
        if kind == "domains" and request.query.get("domain_change") == "true":
            may = session.may("domain_select")
            return self._enter(session, request.query.get("domain_uuid", "")) if may else denied()
        if not session.may(VIEWS[kind]):
            return denied()
        return await self._list(request, kind, session)

    async def _change(self, kind: str, session: Session, form: Mapping[str, str]) -> None:
        if form["action"] == "toggle":
            count = self._toggle(kind, session, form)
            if kind == "extensions":
                await asyncio.sleep((count or 0) * self._pbx.switch.extension_s)
        elif kind == "gateways":
            self._gateways.stop(session, _ticked(kind, form))

    def _toggle(self, kind: str, session: Session, form: Mapping[str, str]) -> int:
        """Toggle the checked rows, skipping unknown ones; returns how many."""
        count, profiles = 0, set()
        for uuid in _ticked(kind, form):
            thing = self._pbx.listed(kind).get(uuid)
            # Extensions are toggled within the session's domain only, even by a superadmin.
            if isinstance(thing, SimulatedExtension) and thing.domain.lower() != session.domain:
                continue
            if thing is not None and not self._lies_about(uuid):
                self._pbx.toggle(kind, uuid, rescan=False)
                profiles |= {thing.profile} if isinstance(thing, Gateway) else set()
                count += 1
        for profile in profiles if self._pbx.event_socket else ():
            self._pbx.rescan(profile)
        return count

    def _enter(self, session: Session, uuid: str) -> web.Response:
        for domain in self._pbx.domains.values():
            if domain.uuid == uuid:
                session.domain = domain.name.lower()
                return redirect(DASHBOARD)
        return page("invalid domain")

    async def _list(self, request: web.Request, kind: str, session: Session) -> web.Response:
        query = request.query
        show_all = query.get("show") == "all" and session.may(ALLS.get(kind, ""))
        things = listed_things(
            self._pbx, kind, None if show_all else session.domain, query.get("search", "")
        )
        if query.get("order_by") == "enabled":
            things.sort(key=lambda thing: thing.enabled, reverse=query.get("order") == "desc")
        number = query.get("page", "0")
        begin = self._rows_per_page * (int(number) if number.isdecimal() else 0)
        rows = things[begin : begin + self._rows_per_page]
        if kind == "gateways" and self._pbx.event_socket:
            # The page asks the switch once for each row that is enabled.
            asked = sum(1 for thing in rows if thing.enabled)
            await asyncio.sleep(asked * request.get(ROW_S, self._pbx.switch.row_s))
        token = session.new_token(request.path)
        html = list_page(
            kind,
            rows,
            (token.name, token.value),
            show_all=show_all,
            reached=self._pbx.event_socket,
            may_toggle=session.may(EDITS.get(kind, VIEWS[kind])),
            messages=session.take_messages(),
        )
        return page(html)


def _ticked(kind: str, form: Mapping[str, str]) -> list[str]:
    """The uuids of the checked rows of a form, each once."""
    uuids = []
    for name, value in form.items():
        found = _CHECKED.fullmatch(name)
        if found is not None and found[1] == kind and value == "true":
            uuids.append(form.get(f"{kind}[{found[2]}][uuid]", ""))
    return list(dict.fromkeys(uuids))

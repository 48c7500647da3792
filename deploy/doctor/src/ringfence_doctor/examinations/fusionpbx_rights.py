"""Checks the pages of a FusionPBX that suspending needs.

For each page that is refused, the rights that FusionPBX requires for it are named. What a right
allows beyond showing a page is not tried.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping

from ringfence_contracts.errors import Retry
from ringfence_doctor.check_result import CheckResult, CheckState
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.calls import CALLS, FRAME, offers_all_tenants, read_calls
from ringfence_pbx.fusionpbx.connection import PageResponse
from ringfence_pbx.fusionpbx.form import read_form
from ringfence_pbx.fusionpbx.routes import ListedRoute, OutboundRoute, outbound_routes
from ringfence_pbx.fusionpbx.session import FusionPbxSession, Kind, ListedRow

EXTENSION = "/app/extensions/extension_edit.php"

_RIGHTS = {
    "extensions": "extension_view, extension_edit, extension_all",
    "gateways": "gateway_view, gateway_edit, gateway_all",
    "tenants": "domain_view, domain_edit, domain_all, domain_select",
    "DIDs": "destination_view, destination_all",
    "switch page": "sip_status_command, system_status_sofia_status",
    "live calls": "call_active_view, call_active_all, call_active_hangup, operator_panel_view",
    "toll allow": "extension_edit, extension_toll, extension_password, extension_export",
    "outbound routes": "outbound_route_view, dialplan_edit, dialplan_all",
}


class FusionPbxRights:
    """One login of a FusionPBX. `host` is the user's domain; `tenant` is None for all tenants.

    Whether its outbound routes test toll_allow is saved in `routes`, by server id, if known.
    """

    def __init__(
        self,
        server_id: str,
        subject: str,
        session: FusionPbxSession,
        *,
        host: str | None,
        tenant: str | None,
        routes: MutableMapping[str, bool],
    ) -> None:
        self._server_id = server_id
        self._subject = subject
        self._session = session
        self._host = (host or "").lower()
        self._is_all = tenant is None
        self._routes = routes
        self._extensions: list[ListedRow] = []

    async def found(self) -> AsyncGenerator[CheckResult, None]:
        """All checks; reading calls needs none of these rights."""
        yield await self._right("extensions", lambda: self._listed("extensions"))
        yield await self._right("gateways", lambda: self._listed("gateways"))
        yield await self._right("tenants", lambda: self._listed("domains"))
        yield await self._right("DIDs", lambda: self._listed("destinations"))
        yield await self._right("switch page", self._running)
        yield await self._right("live calls", self._live_calls)
        if mine := [row for row in self._extensions if row.domain.lower() in ("", self._host)]:
            yield await self._right("toll allow", lambda: self._form(mine[0]))
        yield await self._outbound()

    def _finding(
        self, check: str, state: CheckState, message: str, action: str = ""
    ) -> CheckResult:
        return CheckResult(self._subject, check, state, message, action)

    async def _right(self, check: str, ask: Callable[[], Awaitable[str]]) -> CheckResult:
        try:
            return self._finding(check, "ok", await ask())
        except Refused as error:
            action = (
                f"give the key's user the rights that it lacks of {_RIGHTS[check]}; or suspend by"
            )
            return self._finding(check, "warn", str(error), f"{action} what it may switch")
        except Retry as error:
            action = "look at the PBX: it answers, but not with what was asked for"
            return self._finding(check, "fail", str(error), action)

    async def _listed(self, kind: Kind) -> str:
        everything = self._is_all and kind != "domains"
        listing = await self._session.list_rows(kind, all_tenants=everything)
        rows = list(listing.rows.values())
        if kind == "extensions":
            self._extensions = rows
        unread = sum(row.enabled is None for row in rows)
        if unread and kind != "destinations":
            raise Refused(
                f"{unread} of {len(rows)} can be seen and not switched: give the key's "
                "user the right to edit them, and English as its language"
            )
        return f"{len(rows)} listed"

    async def _running(self) -> str:
        """Raises Retry if the switch is unreachable: no change could be confirmed then."""
        return f"the switch answers; {len(await self._session.live_gateways())} gateways run"

    async def _live_calls(self) -> str:
        answer = await self._session.page("GET", CALLS, {"show": "all"} if self._is_all else {})
        page = read_calls(answer.text)
        if page is None:
            raise self._no_page("the page of active calls", answer)
        if self._is_all:
            frame = await self._session.page("GET", FRAME)
            if not offers_all_tenants(frame.text):
                raise Refused(
                    f"{self._session.name}: the calls of other tenants are not shown: give the"
                    " key's user call_active_all"
                )
        return f"{len(page.channels)} legs of calls are shown"

    async def _form(self, row: ListedRow) -> str:
        """Check that an extension's form has the fields that saving it must send back."""
        answer = await self._session.page("GET", EXTENSION, {"id": row.uuid})
        form = read_form(answer.text, "extension_uuid") or read_form(answer.text, "extension")
        if form is None:
            raise self._no_page("the form of an extension", answer)
        lacks = [
            right
            for name, right in (
                ("toll_allow", "extension_toll"),
                ("password", "extension_password"),
            )
            if form.find(name) is None
        ]
        if lacks:
            raise Refused(f"{self._session.name}: the key's user lacks {' and '.join(lacks)}")
        return "an extension's form shows it"

    def _no_page(self, what: str, answer: PageResponse) -> Exception:
        if answer.denied or answer.redirects:
            return self._session.refused(f"does not show {what} to the key's user")
        return self._session.unexpected(what, answer)

    async def _outbound(self) -> CheckResult:
        """Check whether products can be suspended by `outbound` here."""
        routes_seen: list[tuple[ListedRoute, OutboundRoute]] = []

        async def read_routes() -> str:
            routes_seen.extend(await outbound_routes(self._session, all_tenants=self._is_all))
            return ""

        failed = await self._right("outbound routes", read_routes)
        return failed if failed.state != "ok" else self._route_result(routes_seen)

    def _route_result(self, routes_seen: list[tuple[ListedRoute, OutboundRoute]]) -> CheckResult:
        testing = [listed.name for listed, route in routes_seen if route.tests_toll_allow]
        others = [
            listed.name
            for listed, route in routes_seen
            if not route.tests_toll_allow and not route.is_emergency
        ]
        if routes_seen:
            self._routes[self._server_id] = bool(testing)
        if testing and not others:
            message = f"{_names(testing)} test toll_allow: `suspend_by` outbound can work"
            return self._finding("outbound routes", "ok", message)
        if testing:
            message = f"{_names(others)} do not test toll_allow, {_names(testing)} do"
            action = (
                "add the condition ${toll_allow} to these too: calls by them go on while a product "
            )
            return self._finding("outbound routes", "warn", message, f"{action}is off by outbound")
        message = f"{_names(others)} do not test toll_allow" if others else "none is listed"
        action = (
            "`suspend_by` outbound cannot work here until the outbound routes have the condition "
            "${toll_allow}; products are switched off as a whole, and 911 with them"
        )
        return self._finding("outbound routes", "warn", message, action)


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown

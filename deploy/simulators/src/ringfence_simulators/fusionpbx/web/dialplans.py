"""Outbound routes: the list, and the page with the conditions of one."""

from html import escape

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import SESSION, FusionPbxLogins, page
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import Route
from ringfence_simulators.fusionpbx.web.pages import document, hidden

OUTBOUND = "8c914ec3-9fc0-8ab5-4cda-6c9288bdc9a3"
"""The `app_uuid` with which the list of dialplans contains only outbound routes."""

_TAGS = ("condition", "regex", "action", "anti-action")
_TYPES = ("context", "destination_number", "${sip_to_user}", "${toll_allow}", "set", "bridge")
"""The options of every select of a line's type; their presence on the page means nothing."""


class DialplanPages:
    """The handlers."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """Both pages."""
        return [
            web.get("/app/dialplans/dialplans.php", self.list),
            web.get("/app/dialplans/dialplan_edit.php", self.edit),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """The outbound routes of the session's domain and the global ones; `show=all`: all."""
        if answer := self._logins.guard(request, dict(request.query), "outbound_route_view"):
            return answer
        session = request[SESSION]
        show_all = request.query.get("show") == "all" and session.may("dialplan_all")
        routes = [
            route
            for route in self._pbx.routes.values()
            if request.query.get("app_uuid", OUTBOUND) == OUTBOUND
            if show_all or route.domain.lower() in ("", session.domain)
        ]
        rows = "".join(_row(number, route, show_all) for number, route in enumerate(routes))
        token = session.new_token(request.path)
        names = ["Domain"] if show_all else []
        names += ["Name", "Number", "Context", "Order", "Enabled", "Description"]
        head = "".join(f"<th>{name}</th>\n" for name in names)
        body = (
            "<form id='form_list' method='post'>\n<table class='list'>\n"
            f"<tr class='list-header'>\n<th class='checkbox'></th>\n{head}</tr>\n{rows}</table>\n"
            f"{hidden(token.name, token.value)}</form>\n"
        )
        return page(document("Outbound Routes", body, session.take_messages()))

    async def edit(self, request: web.Request) -> web.Response:
        """The page of one route, with a line for each condition and action."""
        if answer := self._logins.guard(request, dict(request.query), "dialplan_edit"):
            return answer
        session = request[SESSION]
        route = self._pbx.routes.get(request.query.get("id", ""))
        lines = _lines(route) if route else []
        rows = "".join(_detail(number, *line) for number, line in enumerate([*lines, ("", "", "")]))
        token = session.new_token(request.path)
        body = (
            "<form method='post' name='frm' id='frm'>\n"
            "<input class='formfld' type='text' name='dialplan_name' "
            f'value="{escape(route.name if route else "")}">\n'
            f"<table>\n{rows}</table>\n{hidden(token.name, token.value)}</form>\n"
        )
        return page(document("Dialplan", body, session.take_messages()))


def _row(number: int, route: Route, show_all: bool) -> str:
    edit = f"dialplan_edit.php?id={route.uuid}&app_uuid={OUTBOUND}"
    domain = f"<td>{escape(route.domain) or 'Global'}</td>\n" if show_all else ""
    return (
        f"<tr class='list-row' href='{edit}'>\n<td class='checkbox'>\n"
        f"<input type='checkbox' name='dialplans[{number}][checked]' value='true'>\n"
        f"<input type='hidden' name='dialplans[{number}][uuid]' value='{route.uuid}' />\n</td>\n"
        f"{domain}<td><a href='{edit}'>{escape(route.name)}</a></td>\n"
        f"<td>^(\\d{{11}})$</td>\n<td>{escape(route.domain) or 'global'}</td>\n<td>100</td>\n"
        f"<td>{'True' if route.enabled else 'False'}</td>\n<td>&nbsp;</td>\n</tr>\n"
    )


def _lines(route: Route) -> list[tuple[str, str, str]]:
    toll = [("condition", "${toll_allow}", route.toll_allow)] if route.toll_allow else []
    return [
        ("condition", "${user_exists}", "false"),
        *toll,
        ("condition", "destination_number", r"^(\d{11})$"),
        ("action", "set", "sip_h_accountcode=${accountcode}"),
        ("action", "bridge", "sofia/gateway/00000000-0000-0000-0000-000000000000/$1"),
    ]


def _detail(number: int, tag: str, kind: str, data: str) -> str:
    name = f"dialplan_details[{number}]"
    marks = {tag: ' selected="selected"'}
    tags = "".join(f"<option value='{one}'{marks.get(one, '')}>{one}</option>\n" for one in _TAGS)
    chosen = (
        f"<optgroup label='selected'>\n<option value=\"{kind}\">{kind}</option>\n</optgroup>\n"
        if kind
        else "<option value=''></option>\n"
    )
    types = "".join(f"<option value='{one}'>{one}</option>\n" for one in _TYPES)
    label = f'<label id="label_dialplan_detail_type_{number}">{kind}</label>\n' if kind else ""
    return (
        f"<tr>\n<td>\n<select name='{name}[dialplan_detail_tag]'>\n<option></option>\n{tags}"
        f"</select>\n</td>\n<td>\n{label}<select id='dialplan_detail_type_{number}' "
        f"name='{name}[dialplan_detail_type]'>\n{chosen}{types}</select>\n</td>\n<td>\n"
        f"<input name='{name}[dialplan_detail_data]' type='text' value=\"{escape(data)}\">\n"
        "</td>\n</tr>\n"
    )

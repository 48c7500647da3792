"""Calls in progress: the list, and the operator panel's command that ends a call."""

from html import escape

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import SESSION, FusionPbxLogins, page
from ringfence_simulators.fusionpbx.live import SimulatedChannel
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx

_HEADINGS = ("CID Name", "CID Number", "Destination", "Application", "Codec", "Secure")


class CallPages:
    """The handlers."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """All three pages."""
        return [
            web.get("/app/calls_active/calls_active.php", self.frame),
            web.get("/app/calls_active/calls_active_inc.php", self.list),
            web.get("/app/basic_operator_panel/exec.php", self.execute),
        ]

    async def frame(self, request: web.Request) -> web.Response:
        """The page around the list; it has a button for users who may see all tenants' calls."""
        if answer := self._logins.guard(request, dict(request.query), "call_active_view"):
            return answer
        show_all = (
            "<button type='button' onclick=\"window.location='calls_active.php?show=all'\">"
            "<span>Show All</span></button>\n"
        )
        may = request[SESSION].may("call_active_all")
        return page(f"<div id='ajax_response'></div>\n{show_all if may else ''}")

    async def list(self, request: web.Request) -> web.Response:
        """The channels of the session's domain, or of all with `show=all` and the right to it.

        It is a fragment of a page, which a browser reloads periodically. Without the event socket
        the list is empty. Only users who may hang up see a channel's uuid. The hidden token at the
        end is empty in both releases.
        """
        if answer := self._logins.guard(request, dict(request.query), "call_active_view"):
            return answer
        session = request[SESSION]
        asks_all = request.query.get("show") == "all"
        everybody = asks_all and session.may("call_active_all")
        channels = [
            channel
            for call in (self._pbx.live.values() if self._pbx.event_socket else ())
            for channel in call.channels
            if everybody or channel.domain.lower() == session.domain
        ]
        return page(_table(channels, asks_all, session.may("call_active_hangup")))

    async def execute(self, request: web.Request) -> web.Response:
        """`cmd=uuid_kill`: an empty 200, even if it failed."""
        if answer := self._logins.guard(request, dict(request.query), "operator_panel_view"):
            return answer
        if request.query.get("cmd") == "uuid_kill":
            self._pbx.kill_channel(request.query.get("call_id", ""))
        return page("")


def _table(channels: list[SimulatedChannel], with_domain: bool, may_hang_up: bool) -> str:
    names = ["Profile", "Created", *(["Domain"] if with_domain else []), "Number", *_HEADINGS]
    head = "".join(f"\t<th>{name}</th>\n" for name in names)
    if may_hang_up:
        head = "\t<th class='checkbox'>\n\t\t<input type='checkbox'>\n\t</th>\n" + head
    rows = "".join(
        _row(number, channel, with_domain, may_hang_up) for number, channel in enumerate(channels)
    )
    return (
        "<div class='action_bar' id='action_bar'>\n"
        f"\t<div class='heading'><b>Active Calls ({len(channels)})</b></div>\n</div>\n"
        "<div id='cmd_reponse'></div>\n"
        "<form id='form_list' method='post' action='calls_exec.php'>\n"
        "<input type='hidden' id='action' name='action' value=''>\n"
        f"<table class='list'>\n<tr class='list-header'>\n{head}</tr>\n{rows}</table>\n"
        "<input type='hidden' name='' value=''>\n</form>\n"
    )


def _row(number: int, channel: SimulatedChannel, with_domain: bool, may_hang_up: bool) -> str:
    box = (
        f"\t<td class='checkbox'>\n\t\t<input type='checkbox' name='calls[{number}][checked]' "
        f"id='checkbox_{number}' value='true'>\n"
        f"\t\t<input type='hidden' name='calls[{number}][uuid]' value='{channel.uuid}' />\n"
        "\t</td>\n"
    )
    cells = [
        channel.profile,
        channel.created,
        *([channel.domain] if with_domain else []),
        channel.number,
        channel.caller_name,
        channel.caller_number,
        channel.destination,
        channel.application,
        "PCMU:8000 / PCMU:8000",
        "",
    ]
    texts = "".join(f"\t<td>{escape(cell)}&nbsp;</td>\n" for cell in cells)
    return f"<tr class='list-row'>\n{box if may_hang_up else ''}{texts}</tr>\n"

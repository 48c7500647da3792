"""SIP status: the running profiles and gateways, and commands to the switch."""

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import (
    SESSION,
    FusionPbxLogins,
    denied,
    page,
    redirect,
)
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import Gateway
from ringfence_simulators.fusionpbx.web.pages import RunningGateway, sip_status_page


class SwitchPages:
    """The handlers."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """Both pages."""
        return [
            web.get("/app/sip_status/cmd.php", self.command),
            web.get("/app/sip_status/sip_status.php", self.sip_status),
        ]

    async def command(self, request: web.Request) -> web.Response:
        """`cmd.php`: execute a command and redirect, even if it failed."""
        if answer := self._logins.guard(request, dict(request.query), "sip_status_command"):
            return answer
        query = request.query
        profile = query.get("profile", "")
        result = self._pbx.command(query.get("action", ""), profile, query.get("gateway", ""))
        if self._pbx.event_socket:
            texts = f"<strong>{profile}</strong> {result}" if profile else result
            request[SESSION].add_message("alert", texts)
        return redirect("sip_status.php")

    async def sip_status(self, request: web.Request) -> web.Response:
        """The running profiles and gateways, if the user has the right to see them."""
        if answer := self._logins.check(request, dict(request.query)):
            return answer
        session, reached = request[SESSION], self._pbx.event_socket
        shows = session.may("system_status_sofia_status")
        if not shows and not session.may("sip_status_command"):
            return denied()
        if not reached:
            session.add_message("negative", "Connection to Event Socket failed.")
        live = [_live(gateway) for gateway in self._pbx.gateways.values() if gateway.live]
        html = sip_status_page(
            self._pbx.profiles() if reached and shows else [],
            live if reached and shows else [],
            session.take_messages(),
        )
        return page(html)


def _live(gateway: Gateway) -> RunningGateway:
    name = f"{gateway.name}@{gateway.domain}" if gateway.domain else gateway.name
    return RunningGateway(gateway.uuid, name, gateway.profile, gateway.registration)

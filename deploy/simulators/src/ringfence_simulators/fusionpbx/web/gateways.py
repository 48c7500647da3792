"""What only gateways have: the form of one, and stopping those that are ticked."""

from collections.abc import Iterable

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import FusionPbxLogins, Session, page
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.web.pages import gateway_page


class GatewayPages:
    """The handlers."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """The form."""
        return [web.get("/app/gateways/gateway_edit.php", self.edit)]

    async def edit(self, request: web.Request) -> web.Response:
        """The form of one gateway, empty when there is none."""
        if answer := self._logins.guard(request, dict(request.query), "gateway_edit"):
            return answer
        known = self._pbx.gateways.get(request.query.get("id", ""))
        return page(gateway_page(known.name if known else ""))

    def stop(self, session: Session, uuids: Iterable[str]) -> None:
        """Send killgw for each that is still enabled; the answers are one message, a line each.

        Nothing is sent for a disabled or unknown one, and nothing is shown without the event
        socket.
        """
        answers = []
        for uuid in uuids:
            gateway = self._pbx.gateways.get(uuid)
            if gateway is None or not gateway.enabled or not self._pbx.event_socket:
                continue
            result = self._pbx.command("killgw", gateway.profile, gateway.uuid)
            answers.append(f"<br><strong>{gateway.name}</strong>: {result}")
        if answers:
            session.add_message("positive", "".join(["Gateway Stopped", *answers]))

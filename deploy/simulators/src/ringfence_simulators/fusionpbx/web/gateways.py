"""The form of a gateway, and the action that stops the checked gateways of the list."""

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
        """The form of one gateway, empty if there is none."""
        if answer := self._logins.guard(request, dict(request.query), "gateway_edit"):
            return answer
        known = self._pbx.gateways.get(request.query.get("id", ""))
        return page(gateway_page(known.name if known else ""))

    def stop(self, session: Session, uuids: Iterable[str]) -> None:
        """Send killgw for each enabled gateway; the replies are one message with a line for each.

        Nothing is sent for a disabled or unknown gateway. Without the event socket there is no
        message.
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

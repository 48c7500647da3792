"""The addresses of the settings."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.pages.settings import mails, modes, operators, tokens


async def first(request: Request) -> Response:
    """Settings begin with the modes."""
    return RedirectResponse(modes.PAGE, 303)


ROUTES: list[BaseRoute] = [
    Route("/settings", first),
    Route("/settings/modes", modes.show),
    Route("/settings/modes/part/{part}", modes.part),
    Route("/settings/modes/preview", modes.preview),
    Route("/settings/modes/switch", modes.switch, methods=["POST"]),
    Route("/settings/modes/brake/{order}", modes.brake, methods=["POST"]),
    Route("/settings/mails", mails.show),
    Route("/settings/mails/{template}/{language}", mails.one),
    Route("/settings/mails/{template}/{language}/body", mails.body),
    Route("/settings/mails/{template}/{language}/test", mails.test, methods=["POST"]),
    Route("/settings/operators", operators.show),
    Route("/settings/operators", operators.invite, methods=["POST"]),
    Route("/settings/operators/{name}", operators.change, methods=["POST"]),
    Route("/settings/operators/{name}/link", operators.link, methods=["POST"]),
    Route("/settings/operators/{name}/disable", operators.disable, methods=["POST"]),
    Route("/settings/operators/{name}/enable", operators.enable, methods=["POST"]),
    Route("/settings/tokens", tokens.show),
    Route("/settings/tokens", tokens.create, methods=["POST"]),
    Route("/settings/tokens/{token_id}/rotate", tokens.rotate, methods=["POST"]),
    Route("/settings/tokens/{token_id}/revoke", tokens.revoke, methods=["POST"]),
]

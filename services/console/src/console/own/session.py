"""The session of a client: a cookie of its own, which is sent to the client's page alone.

An operator who looks in the client's place stays logged in beside it.
"""

from starlette.requests import Request
from starlette.responses import Response

from console.web.session import is_secure

COOKIE = "ringfence_client"
SECURE_COOKIE = "__Secure-ringfence_client"
HOME = "/my"


def token_of(request: Request) -> str:
    """The token of the client's session; empty if there is none."""
    return request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE) or ""


def begin(response: Response, request: Request, token: str, seconds: int) -> None:
    """Begin a session that ends after so many seconds."""
    secure = is_secure(request)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        token,
        max_age=max(1, seconds),
        path=HOME,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def end(response: Response) -> None:
    """End the session in the browser."""
    response.delete_cookie(COOKIE, path=HOME, httponly=True, samesite="strict")
    response.delete_cookie(SECURE_COOKIE, path=HOME, secure=True, httponly=True, samesite="strict")

"""A session is the API's token in a cookie that no script can read; nothing is stored here.

A form carries a proof that only a page of this session could have: a hash of the token. With the
cookie's SameSite=Strict, and the Origin that browsers send, another site's page can change nothing.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "ringfence_session"
SECURE_COOKIE = "__Host-ringfence_session"
_PROOF = b"ringfence console form"
KEPT_S = 12 * 3600


class ForeignForm(Exception):
    """A form that no page of this session made, or that is older than the session."""


def token_of(request: Request) -> str:
    """The token of the session; empty if there is none."""
    return request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE) or ""


def form_proof(token: str) -> str:
    """The proof that a form is of this session."""
    return hmac.new(token.encode(), _PROOF, hashlib.sha256).hexdigest()


def check_form(request: Request, proof: str, token: str) -> None:
    """Raise ForeignForm unless the form was made by a page of the session with this token."""
    if not hmac.compare_digest(proof.encode(), form_proof(token).encode()):
        raise ForeignForm
    check_origin(request)


def check_origin(request: Request) -> None:
    """Raise ForeignForm if the browser says that a page of another address sent the request."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForeignForm


def begin(response: Response, request: Request, token: str) -> None:
    """Begin a session."""
    secure = is_secure(request)
    response.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        token,
        max_age=KEPT_S,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def end(response: Response) -> None:
    """End the session in the browser."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    response.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def is_secure(request: Request) -> bool:
    """Whether the browser came by TLS, to us or to the proxy before us."""
    return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"

"""Error responses: `{"error": {"field", "value", "expected", "message"}, "errors": [...]}`.

`errors` has one object of the same form for each refused value; `error` is the first, or all
missing fields together. Never a secret.
"""

from collections.abc import Sequence

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from accounts.access.scopes import Forbidden
from accounts.api.error_words import RefusedRequest, each_refusal, refusal
from accounts.products.fields import LABELS
from accounts.refusals import Clash, LoginRefused, LoginsLimited, SeveralRefused, Stale, Unknown
from accounts.tariffs.decks.rows import BadTariff
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import BadInput, shown

log = structlog.get_logger()
_SHOWN = 200


def error_body(
    field: str,
    value: object,
    expected: str,
    message: str | None = None,
    each: Sequence[RefusedRequest] = (),
    **more: object,
) -> dict[str, object]:
    """The body of every error response. `each`: all that is refused, if that is not this alone."""
    first = RefusedRequest(field, value, expected, message)
    return {
        "error": {**_shown_error(first), **more},
        "errors": [_shown_error(refused) for refused in each or (first,)],
    }


def _shown_error(refused: RefusedRequest) -> dict[str, object]:
    field, value, expected, message = refused
    label = LABELS.get(field, field)
    got = "" if value is None else f"got {shown(value)}, "
    text = message or f"{label}: {got}expected {expected}"
    return {"field": field, "value": _echo(value), "expected": expected, "message": text}


def _echo(value: object) -> object:
    """A refused value as the response carries it: at most 200 characters, always valid JSON."""
    if value is None or isinstance(value, bool | int):
        return value
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode()


def add_error_handlers(app: FastAPI) -> None:
    """Map errors to 400, 401, 403, 404, 409, 412, 413, 422 and 429.

    To 503 while the database does not answer; all others to 500.
    """
    app.add_exception_handler(BadInput, _bad_input)
    app.add_exception_handler(BadTariff, _bad_tariff)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(LoginRefused, _login_refused)
    app.add_exception_handler(LoginsLimited, _logins_limited)
    app.add_exception_handler(Unknown, _unknown)
    app.add_exception_handler(Clash, _clash)
    app.add_exception_handler(Stale, _stale)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _internal_error)
    for error_type in TRANSIENT_ERRORS:
        app.add_exception_handler(error_type, _unavailable)


async def _bad_input(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BadInput)
    errors = error.errors if isinstance(error, SeveralRefused) else (error,)
    return JSONResponse(error_body(*_refused(error), [_refused(each) for each in errors]), 422)


def _refused(error: BadInput) -> RefusedRequest:
    missing = f"{error.field} is missing: expected {error.expected}"
    message = missing if error.value is None else str(error)
    return RefusedRequest(getattr(error, "name", error.field), error.value, error.expected, message)


async def _bad_tariff(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BadTariff)
    first = error.rows[0]
    rows = [
        {"line": r.line, "field": r.field, "value": _echo(r.value), "expected": r.expected}
        for r in error.rows
    ]
    body = error_body(
        first.field, first.value, first.expected, str(error), bad_rows=error.total, rows=rows
    )
    return JSONResponse(body, 422)


async def _forbidden(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Forbidden)
    return JSONResponse(error_body(error.field, error.value, error.expected, str(error)), 403)


async def _login_refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LoginRefused)
    return JSONResponse(error_body(error.field, None, error.expected, str(error)), 401)


async def _logins_limited(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LoginsLimited)
    body = error_body("login", None, f"a login in {error.wait_s} s", str(error))
    return JSONResponse(body, 429, {"Retry-After": str(error.wait_s)})


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unknown)
    return JSONResponse(error_body(error.field, error.value, error.expected, str(error)), 404)


async def _stale(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Stale)
    return JSONResponse(error_body(error.field, error.value, error.expected, str(error)), 412)


async def _clash(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Clash)
    return JSONResponse(error_body(error.field, error.value, error.expected, str(error)), 409)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    found = refusal(problems, _label)
    return JSONResponse(error_body(*found, each_refusal(problems, _label)), 422)


def _label(field: str) -> str:
    return LABELS.get(field, field)


_HTTP_WORDS = {
    404: "there is nothing at this address",
    405: "this address does not take this method",
    413: "a body of at most 1 MiB, or of 100 MiB for a tariff",
}


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    words = _HTTP_WORDS.get(error.status_code, str(error.detail))
    return JSONResponse(error_body("request", None, words, words), error.status_code, error.headers)


def too_large() -> JSONResponse:
    """The response to a body that is too large."""
    words = _HTTP_WORDS[413]
    return JSONResponse(error_body("request", None, words, words), 413, {"Connection": "close"})


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    log.warning("request not served", path=request.url.path, reason=repr(error))
    return unavailable()


def unavailable() -> JSONResponse:
    """The response while the database does not answer."""
    message = "the database does not answer; nothing was changed unless an answer said so"
    body = error_body("service", None, "try again in a moment", message)
    return JSONResponse(body, 503, {"Retry-After": "2"})


async def _disconnected(request: Request, _: Exception) -> JSONResponse:
    log.info("the client went away while it sent", path=request.url.path)
    return JSONResponse(error_body("body", None, "a request that is sent whole"), 400)


async def _internal_error(request: Request, error: Exception) -> JSONResponse:
    log.error("a bug", path=request.url.path, exc_info=error)
    message = "the service failed on this request; its log says why"
    return JSONResponse(error_body("service", None, "another request", message), 500)

"""Error responses: `{"error": {"field", "value", "expected", "message"}}`, never a secret."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from accounts.api.error_words import refusal
from accounts.products.fields import LABELS
from accounts.refusals import Clash, Stale, Unknown
from accounts.tariffs.tariff_csv import BadTariff
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import BadInput, shown

log = structlog.get_logger()
_SHOWN = 200


def error_body(
    field: str, value: object, expected: str, message: str | None = None, **more: object
) -> dict[str, object]:
    """The body of every error response."""
    text = message or f"{LABELS.get(field, field)}: got {shown(value)}, expected {expected}"
    error = {"field": field, "value": _echo(value), "expected": expected, "message": text, **more}
    return {"error": error}


def _echo(value: object) -> object:
    """A refused value as the response carries it: at most 200 characters, always valid JSON."""
    if value is None or isinstance(value, bool | int):
        return value
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode()


def add_error_handlers(app: FastAPI) -> None:
    """Map errors to 400, 404, 409, 412, 413, 422, to 503 while the database does not answer, else
    to 500.
    """
    app.add_exception_handler(BadInput, _bad_input)
    app.add_exception_handler(BadTariff, _bad_tariff)
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
    field = getattr(error, "name", error.field)
    body = error_body(field, error.value, error.expected, str(error))
    return JSONResponse(body, 422)


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
    found = refusal(error.errors(), lambda field: LABELS.get(field, field))
    return JSONResponse(error_body(*found), 422)


_HTTP_WORDS = {
    404: "there is nothing at this address",
    405: "this address does not take this method",
    413: "a body of at most 1 MiB, or of 100 MiB for a tariff",
}


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    words = _HTTP_WORDS.get(error.status_code, str(error.detail))
    return JSONResponse(error_body("request", None, words, words), error.status_code, error.headers)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    log.warning("request not served", path=request.url.path, reason=repr(error))
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

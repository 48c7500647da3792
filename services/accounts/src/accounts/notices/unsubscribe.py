"""/unsubscribe/{token}: the target of the link in a mail. Public: a signed token names the client.

GET only shows a form, because mail programs and virus scanners open links. POST unsubscribes, as
one-click unsubscription requires (RFC 8058). It is idempotent.
"""

import html
from collections.abc import Mapping

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from accounts.clients.account import Account
from accounts.clients.store_publishing import AuditEntry
from accounts.refusals import Unknown
from accounts.store import AccountStore
from ringfence.clock import Clock
from ringfence.mail.unsubscribe import BadToken, read_token

WHO = "client"
_PREFIX = "/unsubscribe/"
_AUDIT_TEXT = "unsubscribed from mail by the link in a mail"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
log = structlog.get_logger()

Words = Mapping[str, str]
_ENGLISH: Words = {
    "language": "en",
    "title": "Unsubscribe",
    "ask": "Do you want to get no more messages about your credit?",
    "button": "Unsubscribe",
    "done": "You get no more messages about your credit. To get them again, please contact us.",
    "bad": "This link does not work: it is too old or not complete. To get no more messages,"
    " reply to one and ask us to turn them off.",
}
_FRENCH: Words = {
    "language": "fr",
    "title": "Désabonnement",
    "ask": "Ne plus recevoir de messages sur votre crédit ?",
    "button": "Me désabonner",
    "done": "Vous ne recevrez plus de messages sur votre crédit. Pour en recevoir de nouveau,"
    " contactez-nous.",
    "bad": "Ce lien ne fonctionne pas : il est trop ancien ou incomplet. Pour ne plus recevoir de"
    " messages, répondez à l'un d'eux et demandez-nous de les désactiver.",
}


class WithUnsubscribe:
    """ASGI middleware: answers paths below /unsubscribe/, and passes all others to `app`."""

    def __init__(self, app: ASGIApp, *, key: bytes, store: AccountStore, clock: Clock) -> None:
        self._app = app
        self._key = key
        self._store = store
        self._clock = clock
        self._pages = Starlette(
            routes=[
                Route(_PREFIX + "{token}", self._confirm_page, methods=["GET"]),
                Route(_PREFIX + "{token}", self._unsubscribe, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        ours = scope["type"] == "http" and scope["path"].startswith(_PREFIX)
        await (self._pages if ours else self._app)(scope, receive, send)

    async def _confirm_page(self, request: Request) -> Response:
        words = _words_for(request)
        try:
            await self._store.account(self._account_id(request))
        except (BadToken, Unknown):
            return _page(words, words["bad"], status=400)
        form = f'<form method="post"><button>{html.escape(words["button"])}</button></form>'
        return _page(words, words["ask"], form)

    async def _unsubscribe(self, request: Request) -> Response:
        words = _words_for(request)
        try:
            account_id = self._account_id(request)
            await self._store.change(account_id, _without_mail, AuditEntry(WHO, _AUDIT_TEXT))
        except (BadToken, Unknown) as error:
            log.warning("a link to unsubscribe was refused", reason=str(error))
            return _page(words, words["bad"], status=400)
        log.info("a client unsubscribed from mail", account_id=account_id)
        return _page(words, words["done"])

    def _account_id(self, request: Request) -> str:
        return read_token(request.path_params["token"], self._key, self._clock.now())


def _without_mail(account: Account) -> Account:
    client = account.client.model_copy(update={"wants_mail": False})
    return account.model_copy(update={"client": client})


def _words_for(request: Request) -> Words:
    """French where the browser asks for it first, else English."""
    first = request.headers.get("accept-language", "").partition(",")[0].strip().lower()
    return _FRENCH if first.startswith("fr") else _ENGLISH


def _page(words: Words, text: str, form: str = "", *, status: int = 200) -> HTMLResponse:
    content = _PAGE.format(
        language=words["language"], title=words["title"], text=html.escape(text), form=form
    )
    return HTMLResponse(content, status, _HEADERS)


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 18px/1.5 system-ui, sans-serif; color: #1d2733; background: #eef1f4; margin: 0; }}
main {{ max-width: 32rem; margin: 3rem auto; padding: 1.5rem; background: #fff; }}
button {{ font: inherit; padding: .6rem 1.5rem; }}
</style>
</head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body>
</html>
"""

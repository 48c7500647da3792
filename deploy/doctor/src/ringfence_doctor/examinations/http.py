"""Checks a server by one GET before any login: reachability, certificate and clock.

The examinations of all kinds of server share it. Each passes the URL and the error statuses that
its own later checks explain better.
"""

import asyncio
import ssl
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from ringfence.clock import Clock
from ringfence_contracts.errors import shown
from ringfence_doctor.check_result import CheckResult, CheckState
from ringfence_pbx.http import PbxClient
from ringfence_pbx.servers import is_loopback

CLOCK_OK_S, CLOCK_BAD_S = 5, 120
CERTIFICATE_DAYS = 14
_MAX_PAGE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Address:
    """The request. `timeout_s` is the limit for the whole request.

    `carries` names what the product sends to this server and an eavesdropper could read. `passing`
    are statuses of 400 and more that a later check explains. Without `body`, only the response's
    head is read.
    """

    subject: str
    url: str
    timeout_s: float
    carries: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: httpx.Auth | None = None
    passing: Container[int] = ()
    body: bool = True

    @property
    def origin(self) -> str:
        """Scheme, host and port: the rest of a URL can contain a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True)
class Reachability:
    """The results of the request, and the beginning of the page."""

    findings: tuple[CheckResult, ...]
    page: str = ""

    @property
    def reached(self) -> bool:
        """Whether further checks make sense; a wrong clock does not prevent them."""
        return not any(f.state == "fail" for f in self.findings if f.check != "clock")


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    certificate_ends: datetime | None
    page: str
    asked_at: datetime
    came_at: datetime
    took_ms: int


async def examine_address(address: Address, clock: Clock) -> Reachability:
    """Check connection, certificate and clock. Raises nothing and changes nothing."""
    try:
        async with asyncio.timeout(address.timeout_s):
            answer = await _get(address, clock)
    except TimeoutError:
        return Reachability((_unreachable(address, f"no answer within {address.timeout_s:g} s"),))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = f"{type(error).__name__} {error}".strip().replace(address.url, address.origin)
        return Reachability((_unreachable(address, message),))
    findings = (
        _reachable(address, answer),
        tls_finding(address, answer.certificate_ends, clock.now()),
        clock_finding(
            address.subject,
            answer.headers.get("date", ""),
            asked_at=answer.asked_at,
            came_at=answer.came_at,
        ),
    )
    return Reachability(findings, answer.page)


async def _get(address: Address, clock: Clock) -> _Answer:
    async with PbxClient(headers={}, timeout_s=address.timeout_s) as client:
        began, asked_at = time.monotonic(), clock.now()
        request = client.stream(
            "GET", address.url, headers=dict(address.headers), auth=address.auth
        )
        async with request as response:
            took_ms, came_at = round((time.monotonic() - began) * 1000), clock.now()
            return _Answer(
                status=response.status_code,
                headers=response.headers,
                certificate_ends=_certificate_ends(response),
                page=await _beginning(response) if address.body else "",
                asked_at=asked_at,
                came_at=came_at,
                took_ms=took_ms,
            )


async def _beginning(response: httpx.Response) -> str:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > _MAX_PAGE_BYTES:
            break
    return bytes(body).decode("utf-8", "replace")


def _certificate_ends(response: httpx.Response) -> datetime | None:
    """When the server's certificate expires; None if there is none."""
    stream = response.extensions.get("network_stream")
    sealed = stream.get_extra_info("ssl_object") if stream is not None else None
    ends = sealed.getpeercert().get("notAfter") if sealed is not None else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None


def _unreachable(address: Address, message: str) -> CheckResult:
    if "certificate" in message.lower():
        action = "renew its certificate, or name your own authority in SSL_CERT_FILE"
        return CheckResult(address.subject, "TLS", "fail", message, action)
    action = f"see that it runs, that `url` is right, and that {address.origin} is let through"
    return CheckResult(address.subject, "reachable", "fail", message, action)


def _reachable(address: Address, answer: _Answer) -> CheckResult:
    def finding(state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult(address.subject, "reachable", state, message, action)

    what = "a plain GET " if answer.status in address.passing else ""
    message = f"answers {what}with {answer.status} in {answer.took_ms} ms"
    if answer.status in (429, 503) and (pause := answer.headers.get("retry-after")):
        return finding("fail", f"{message}: not before {shown(pause, 40)}", "ask again after that")
    if answer.status == 429:
        return finding("fail", message, "ask again later: it has been asked too often")
    if answer.status >= 500:
        return finding("fail", message, "look into the web server's error log")
    if answer.status >= 400 and answer.status not in address.passing:
        return finding("fail", message, "see that `url` is right; look into its web server's log")
    location = answer.headers.get("location", "")
    if location.startswith("https:") and address.url.startswith("http:"):
        return finding("fail", "redirects to https", "begin `url` with https")
    return finding("ok", message)


def tls_finding(address: Address, ends: datetime | None, now: datetime) -> CheckResult:
    """The encryption of the connection; `ends` is when the certificate expires, if known."""

    def finding(state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult(address.subject, "TLS", state, message, action)

    if address.url.startswith("http:"):
        if is_loopback(urlsplit(address.url).hostname):
            return finding("ok", "none, on this machine")
        action = f"begin `url` with https: {address.carries} travels with each request or login"
        return finding("warn", f"{address.carries} travels unencrypted", action)
    if ends is None:
        return finding("ok", "the certificate is valid")
    message = f"the certificate is valid for {(ends - now).days} days more"
    if (ends - now).days < CERTIFICATE_DAYS:
        return finding("warn", message, "renew it in time")
    return finding("ok", message)


def clock_finding(subject: str, date: str, *, asked_at: datetime, came_at: datetime) -> CheckResult:
    """Compare the server's clock, from the Date header in whole seconds, with ours.

    `asked_at` and `came_at` are our times before and after the request.
    """
    try:
        theirs = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return CheckResult(subject, "clock", "warn", "it does not tell its time", "compare by hand")
    theirs = theirs.replace(tzinfo=UTC) if theirs.tzinfo is None else theirs
    nearest = min(max(theirs, asked_at), came_at)
    ahead_s = round((theirs - nearest).total_seconds())
    message = f"{abs(ahead_s)} s {'ahead of' if ahead_s > 0 else 'behind'} ours"
    message = message if ahead_s else "as ours"
    if abs(ahead_s) <= CLOCK_OK_S:
        return CheckResult(subject, "clock", "ok", message)
    state: CheckState = "warn" if abs(ahead_s) <= CLOCK_BAD_S else "fail"
    action = "run a time service (NTP) on both machines: calls are billed by its clock"
    return CheckResult(subject, "clock", state, message, action)

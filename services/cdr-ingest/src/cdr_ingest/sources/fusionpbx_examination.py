"""A FusionPBX looked over from outside, by pages that only show: for `ringfence doctor`."""

import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from cdr_ingest.sources.finding import Finding, State
from cdr_ingest.sources.fusionpbx_rows import Rows
from cdr_ingest.sources.source import BadRow, BLeg
from ringfence.clock import Clock
from ringfence.errors import BadInput, Retry
from ringfence.pbx.fusionpbx import FusionPbxSession, Refused
from ringfence.pbx.fusionpbx_connection import LOGIN, USER_AGENT
from ringfence.pbx.fusionpbx_pages import find_token
from ringfence.pbx.fusionpbx_transport import tls
from ringfence.pbx.servers import FusionPbxServer, is_loopback

SPANS_S = (900, 3600, 6 * 3600, 86_400, 7 * 86_400)
"""The newest call is looked for in the last quarter of an hour first, and in a week at most."""

CLOCK_OK_S, CLOCK_BAD_S = 5, 120
CERTIFICATE_DAYS = 14


async def examine_export(server_id: str, server: FusionPbxServer, clock: Clock) -> list[Finding]:
    """Every check of a FusionPBX, under each host name by which it is asked."""
    if server.all_tenants:
        return await FusionPbxExamination(server_id, server, server.host, None, clock).all()
    if not server.tenants:
        do = "set all_tenants, or name its tenants"
        return [Finding(server_id, "tenants", "fail", "none is named: no call is read", do)]
    found = []
    for tenant in server.tenants:
        found += await FusionPbxExamination(server_id, server, tenant, tenant, clock).all()
    return found


class FusionPbxExamination:
    """One FusionPBX under one host name; `lane` is the tenant, None for all of them."""

    def __init__(
        self, server_id: str, server: FusionPbxServer, host: str | None, lane: str | None,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._server_id = server_id
        self._server = server
        self._host = host
        self._lane = lane
        self._clock = clock
        self._subject = f"{server_id} as {host}" if host else server_id

    async def all(self) -> list[Finding]:
        """Every check; those that need an earlier one to succeed are left out where it did not."""
        found = await self._from_outside()
        if any(finding.state == "fail" for finding in found):
            return found
        async with FusionPbxSession(self._server_id, self._server, host=self._host) as session:
            login = await self._credentials(session)
            found.append(login)
            if login.state != "fail":
                found += [
                    self._password(),
                    await self._newest_call(session),
                    *await self._rights(session),
                ]
        return found

    async def _from_outside(self) -> list[Finding]:
        began = time.monotonic()
        try:
            async with (
                httpx.AsyncClient(
                    timeout=self._server.timeout_s, verify=tls(), trust_env=False
                ) as client,
                client.stream("GET", self._server.url + LOGIN, headers=self._headers()) as answer,
            ):
                certificate = _certificate_ends(answer)
                page = (await answer.aread()).decode("utf-8", "replace")
        except httpx.HTTPError as error:
            return [self._unreachable(error)]
        took_ms = round((time.monotonic() - began) * 1000)
        return [
            self._reachable(answer, took_ms),
            self._tls(certificate),
            self._clock_difference(answer.headers.get("date", "")),
            self._line(page),
        ]

    def _headers(self) -> dict[str, str]:
        return {"User-Agent": USER_AGENT, **({"Host": self._host} if self._host else {})}

    def _finding(self, check: str, state: State, said: str, do: str = "") -> Finding:
        return Finding(self._subject, check, state, said, do)

    def _unreachable(self, error: httpx.HTTPError) -> Finding:
        said = f"{type(error).__name__} {error}".strip()
        if "certificate" in said.lower():
            do = "renew its certificate, or name your own authority in SSL_CERT_FILE"
            return self._finding("TLS", "fail", said, do)
        do = f"see that it runs, that `url` is right, and that {self._server.url} is let through"
        return self._finding("reachable", "fail", said, do)

    def _reachable(self, answer: httpx.Response, took_ms: int) -> Finding:
        said = f"answers with {answer.status_code} in {took_ms} ms"
        if answer.status_code >= 400 and answer.status_code != 404:
            return self._finding("reachable", "fail", said, "look into the web server's error log")
        location = answer.headers.get("location", "")
        if location.startswith("https:") and self._server.url.startswith("http:"):
            said = "redirects to https"
            return self._finding("reachable", "fail", said, "begin `url` with https")
        return self._finding("reachable", "ok", said)

    def _tls(self, ends: datetime | None) -> Finding:
        if self._server.url.startswith("http:"):
            if is_loopback(httpx.URL(self._server.url).host):
                return self._finding("TLS", "ok", "none, on this machine")
            do = "begin `url` with https: the api key travels in every login"
            return self._finding("TLS", "warn", "the api key travels unencrypted", do)
        if ends is None:
            return self._finding("TLS", "ok", "the certificate is valid")
        days = (ends - self._clock.now()).days
        said = f"the certificate is valid for {days} days more"
        if days < CERTIFICATE_DAYS:
            return self._finding("TLS", "warn", said, "renew it in time")
        return self._finding("TLS", "ok", said)

    def _clock_difference(self, date: str) -> Finding:
        try:
            theirs = parsedate_to_datetime(date)
        except ValueError:
            return self._finding("clock", "warn", "it does not tell its time", "compare by hand")
        ahead_s = round((theirs.replace(tzinfo=UTC) - self._clock.now()).total_seconds())
        way = "ahead of" if ahead_s > 0 else "behind"
        said = f"{abs(ahead_s)} s {way} ours"
        if abs(ahead_s) <= CLOCK_OK_S:
            return self._finding("clock", "ok", said)
        state: State = "warn" if abs(ahead_s) <= CLOCK_BAD_S else "fail"
        do = "run a time service (NTP) on both machines: calls are billed by the PBX's clock"
        return self._finding("clock", state, said, do)

    def _line(self, page: str) -> Finding:
        token = find_token(page) is not None
        return self._finding(
            "login", "ok", "with a form token, as from 5.6 on" if token else "as up to 5.5"
        )

    async def _credentials(self, session: FusionPbxSession) -> Finding:
        try:
            async with aclosing(session.export(1, 1, all_tenants=self._lane is None)) as rows:
                await anext(rows, None)
        except (Refused, Retry) as error:
            return self._finding("credentials", "fail", str(error), _what_to_do(error))
        return self._finding("credentials", "ok", "the api key logs in and may export calls")

    def _password(self) -> Finding:
        return self._finding(
            "password", "ok", "can not be seen from outside",
            "the first login by key overwrites a password that is still the installer's: log in "
            "by password once, as the key's user, if nobody ever did",
        )  # fmt: skip

    async def _newest_call(self, session: FusionPbxSession) -> Finding:
        now = self._clock.now()
        for span_s in SPANS_S:
            try:
                newest = await self._newest_within(session, int(now.timestamp()), span_s)
            except (Refused, Retry, BadInput) as error:
                return self._finding("newest call", "fail", str(error), _what_to_do(error))
            if newest is not None:
                age_s = max(0, int((now - newest).total_seconds()))
                said = f"began {newest:%Y-%m-%d %H:%M:%S} UTC, {_in_words(age_s)} ago"
                return self._finding("newest call", "ok", said)
        do = "make a test call; if it does not appear in the PBX's own list, look at its CDR import"
        return self._finding("newest call", "warn", "none within a week", do)

    async def _newest_within(
        self, session: FusionPbxSession, now: int, span_s: int
    ) -> datetime | None:
        export = session.export(now - span_s, now + CLOCK_BAD_S, all_tenants=self._lane is None)
        newest: datetime | None = None
        rows: Rows | None = None
        async with aclosing(export) as lines:
            async for line in lines:
                if rows is None:
                    rows = Rows(line, server_id=self._server_id, tenant=self._lane)
                    continue
                record = rows.read(line, 0)
                if not isinstance(record, BadRow | BLeg):
                    newest = max(newest or record.started_at, record.started_at)
        return newest

    async def _rights(self, session: FusionPbxSession) -> list[Finding]:
        """What suspending needs; reading calls does not."""
        return [
            await self._right("extensions", lambda: self._listed(session, "extensions")),
            await self._right("gateways", lambda: self._listed(session, "gateways")),
            await self._right("tenants", lambda: self._listed(session, "domains")),
            await self._right("switch page", lambda: _running(session)),
        ]

    async def _listed(self, session: FusionPbxSession, kind: str) -> str:
        everything = self._lane is None and kind != "domains"
        listing = await session.list_rows(kind, all_tenants=everything)  # type: ignore[arg-type]
        unread = sum(row.enabled is None for row in listing.rows.values())
        if unread:
            raise Refused(
                f"{unread} of {len(listing.rows)} can be seen and not switched: give the key's "
                "user the right to edit them, and English as its language"
            )
        return f"{len(listing.rows)} listed"

    async def _right(self, check: str, ask: Callable[[], Awaitable[str]]) -> Finding:
        try:
            return self._finding(check, "ok", await ask())
        except Refused as error:
            do = "give the right, or suspend by what the key's user may switch"
            return self._finding(check, "warn", str(error), do)
        except Retry as error:
            return self._finding(check, "fail", str(error), _what_to_do(error))


async def _running(session: FusionPbxSession) -> str:
    return f"{len(await session.live_gateways())} gateways run"


def _certificate_ends(answer: httpx.Response) -> datetime | None:
    """Until when the server's certificate is valid; None where there is none."""
    stream = answer.extensions.get("network_stream")
    sealed = stream.get_extra_info("ssl_object") if stream is not None else None
    ends = sealed.getpeercert().get("notAfter") if sealed is not None else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None


def _what_to_do(error: Exception) -> str:
    if isinstance(error, Retry):
        return "look at the PBX: it answers, but not with what was asked for"
    return "as it says; docs/servers.md lists what the key's user must be allowed"


def _in_words(seconds: int) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"

"""Checks a FusionPBX from outside, by read-only pages."""

from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing
from datetime import datetime

from cdr_ingest.fusionpbx.rows import ExportRows
from cdr_ingest.sources.source import BadRow, BLeg
from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput, Retry
from ringfence_doctor.check_result import CheckResult, CheckState, newest_call
from ringfence_doctor.examinations.fusionpbx_rights import FusionPbxRights
from ringfence_doctor.examinations.fusionpbx_rows import RowExamination
from ringfence_doctor.examinations.http import Address, examine_address
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.connection import LOGIN, USER_AGENT
from ringfence_pbx.fusionpbx.pages import find_token
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.servers import FusionPbxServer

SPANS_S = (900, 3600, 6 * 3600, 86_400, 7 * 86_400)
"""The periods in which the newest call is searched, from a quarter of an hour to a week."""

AHEAD_S = 86_400
"""Calls up to a day in the future are searched too, because the PBX's clock can be ahead."""


async def examine_export(
    server_id: str,
    server: FusionPbxServer,
    clock: Clock,
    routes: MutableMapping[str, bool] | None = None,
) -> AsyncGenerator[CheckResult, None]:
    """All checks of a FusionPBX, for each host name under which it is read.

    Whether its outbound routes test toll_allow is saved in `routes`, by server id, if known.
    """
    if not (server.all_tenants or server.tenants):
        action = "set all_tenants, or name its tenants"
        yield CheckResult(server_id, "tenants", "fail", "none is named: no call is read", action)
        return
    routes_found: MutableMapping[str, bool] = {} if routes is None else routes
    names = [(server.host, None)] if server.all_tenants else [(t, t) for t in server.tenants]
    for host, tenant in names:
        examination = FusionPbxExamination(server_id, server, host, tenant, clock, routes_found)
        async with aclosing(examination.found()) as findings:
            async for finding in findings:
                yield finding


class FusionPbxExamination:
    """One FusionPBX under one host name; `tenant` is None for all tenants."""

    def __init__(
        self, server_id: str, server: FusionPbxServer, host: str | None, tenant: str | None,
        clock: Clock, routes: MutableMapping[str, bool],
    ) -> None:  # fmt: skip
        self._routes = routes
        self._server_id = server_id
        self._server = server
        self._host = host
        self._tenant = tenant
        self._clock = clock
        self._subject = f"{server_id} as {host}" if host else server_id

    async def found(self) -> AsyncGenerator[CheckResult, None]:
        """All checks; after a failure, the checks that depend on it are skipped."""
        reachability = await examine_address(self._address, self._clock)
        for finding in reachability.findings:
            yield finding
        if not reachability.reached:
            return
        yield self._line(reachability.page)
        async with FusionPbxSession(self._server_id, self._server, host=self._host) as session:
            login = await self._credentials(session)
            yield login
            if login.state == "fail":
                return
            yield self._password()
            yield await self._newest_call(session)
            rows = RowExamination(self._server_id, self._subject, self._server, session)
            for finding in await rows.found():
                yield finding
            rights = FusionPbxRights(
                self._server_id, self._subject, session,
                host=self._host, tenant=self._tenant, routes=self._routes,
            )  # fmt: skip
            async with aclosing(rights.found()) as findings:
                async for finding in findings:
                    yield finding

    @property
    def _address(self) -> Address:
        host = {"Host": self._host} if self._host else {}
        return Address(
            subject=self._subject,
            url=self._server.url + LOGIN,
            timeout_s=self._server.timeout_s,
            carries="the api key",
            headers={"User-Agent": USER_AGENT, **host},
            passing={404},
        )

    def _finding(
        self, check: str, state: CheckState, message: str, action: str = ""
    ) -> CheckResult:
        return CheckResult(self._subject, check, state, message, action)

    def _line(self, page: str) -> CheckResult:
        token = find_token(page) is not None
        return self._finding(
            "login", "ok", "with a form token, as from 5.6 on" if token else "as up to 5.5"
        )

    async def _credentials(self, session: FusionPbxSession) -> CheckResult:
        try:
            async with aclosing(session.export(1, 1, all_tenants=self._tenant is None)) as rows:
                await anext(rows, None)
        except (Refused, Retry) as error:
            return self._finding("credentials", "fail", str(error), _what_to_do(error))
        return self._finding("credentials", "ok", "the api key logs in and may export calls")

    def _password(self) -> CheckResult:
        return self._finding(
            "password", "ok", "cannot be seen from outside",
            "the first login by key overwrites a password that is still the installer's: log in "
            "by password once, as the key's user, if nobody ever did",
        )  # fmt: skip

    async def _newest_call(self, session: FusionPbxSession) -> CheckResult:
        now = self._clock.now()
        for span_s in SPANS_S:
            try:
                newest = await self._newest_within(session, int(now.timestamp()), span_s)
            except (Refused, Retry, BadInput) as error:
                return self._finding("newest call", "fail", str(error), _what_to_do(error))
            if newest is not None:
                return newest_call(self._subject, newest, now)
        action = (
            "make a test call; if it does not appear in the PBX's own list, look at its CDR import"
        )
        return self._finding("newest call", "warn", "none within a week", action)

    async def _newest_within(
        self, session: FusionPbxSession, now: int, span_s: int
    ) -> datetime | None:
        export = session.export(now - span_s, now + AHEAD_S, all_tenants=self._tenant is None)
        newest: datetime | None = None
        rows: ExportRows | None = None
        async with aclosing(export) as lines:
            async for line in lines:
                if rows is None:
                    rows = ExportRows(line, server_id=self._server_id, tenant=self._tenant)
                    continue
                record = rows.read(line, 0)
                if not isinstance(record, BadRow | BLeg):
                    newest = max(newest or record.started_at, record.started_at)
        return newest


def _what_to_do(error: Exception) -> str:
    if isinstance(error, Retry):
        return "look at the PBX: it answers, but not with what was asked for"
    return "as it says; docs/servers.md lists what the key's user must be allowed"

"""Checks a Vodia PBX from outside, by read-only requests.

Requests that change something are not tried, but those that precede them are: the list of trunks,
an extension's state and its calls in progress.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cdr_ingest.polling.guarded import SourceReadError, guarded_records
from cdr_ingest.sources.source import BadRow
from cdr_ingest.vodia.source import VodiaSource
from ringfence.clock import Clock
from ringfence_contracts.errors import Retry
from ringfence_contracts.events.call import CallCompleted
from ringfence_doctor.check_result import CheckResult, CheckState, newest_call
from ringfence_doctor.examinations.http import Address, examine_address
from ringfence_pbx.errors import Refused
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.vodia.api import VodiaApi
from ringfence_pbx.vodia.connection import SESSION

SPANS_S = (900, 3600, 6 * 3600, 86_400)
"""The periods in which the newest call is searched; then the PBX's whole retention period."""

AHEAD_S = 86_400
_PAGES_OF_TENANTS = "/rest/domain/"


@dataclass
class _Listed:
    """The calls of a tenant's list within a period."""

    newest: CallCompleted | None = None
    extension: str = ""
    unread: int = 0
    reason: str = ""

    def add(self, record: object) -> None:
        if isinstance(record, BadRow):
            self.unread += 1
            self.reason = self.reason or record.reason
        elif isinstance(record, CallCompleted):
            if self.newest is None or record.started_at > self.newest.started_at:
                self.newest = record
            self.extension = self.extension or record.extension


async def examine_vodia(
    server_id: str, server: VodiaServer, clock: Clock
) -> AsyncGenerator[CheckResult, None]:
    """All checks; after a failure, the checks that depend on it are skipped."""
    address = Address(
        subject=server_id,
        url=server.url + SESSION,
        timeout_s=server.timeout_s,
        carries="the password",
        headers={"User-Agent": "ringfence/1"},
    )
    reachability = await examine_address(address, clock)
    for finding in reachability.findings:
        yield finding
    if not reachability.reached:
        return
    if not server.tenants:
        action = "name in `tenants` every domain that is billed"
        yield CheckResult(server_id, "tenants", "fail", "none is named: no call is read", action)
        return
    async with VodiaApi(server_id, server) as api:
        login = await _credentials(server_id, server, api)
        yield login
        if login.state == "fail":
            return
        source = VodiaSource(server_id, server, find_known=_nothing_known)
        try:
            for tenant in server.tenants:
                examination = VodiaTenantExamination(server_id, server, tenant, api, source, clock)
                async with aclosing(examination.found()) as findings:
                    async for finding in findings:
                        yield finding
        finally:
            await source.aclose()


async def _credentials(server_id: str, server: VodiaServer, api: VodiaApi) -> CheckResult:
    """Check the login by requesting the first tenant's list; its content does not matter."""
    ok = CheckResult(server_id, "credentials", "ok", f'accepted, by login = "{server.login}"')
    try:
        await api.cdrs(server.tenants[0], page=1, size=1)
    except Refused as error:
        # The error of a refused page names the page; that of a refused login does not.
        if _PAGES_OF_TENANTS in str(error):
            return ok
        return CheckResult(
            server_id, "credentials", "fail", str(error), "as it says; docs/vodia.md"
        )
    except Retry as error:
        return CheckResult(server_id, "credentials", "fail", str(error), _what_to_do(error))
    return ok


class VodiaTenantExamination:
    """Checks one tenant of a Vodia that has accepted the login."""

    def __init__(
        self, server_id: str, server: VodiaServer, tenant: str, api: VodiaApi, source: VodiaSource,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._server = server
        self._tenant = tenant
        self._api = api
        self._source = source
        self._clock = clock
        self._subject = f"{server_id} {tenant}"

    async def found(self) -> AsyncGenerator[CheckResult, None]:
        """The checks of the tenant's calls, and of what suspending needs."""
        listed = _Listed()
        try:
            listed = await self._look_for_calls()
        except SourceReadError as error:
            yield self._finding("newest call", "fail", str(error), _what_to_do(error))
        else:
            yield self._newest(listed)
            if listed.unread:
                yield self._unread(listed)
        yield await self._right("trunks", self._trunks)
        if listed.extension:
            yield await self._right("live calls", lambda: self._live_calls(listed.extension))
        if self._server.extension_state_path is None:
            yield await self._right("extensions", self._accounts)
        elif listed.extension:
            yield await self._right("extensions", lambda: self._extension(listed.extension))

    def _finding(
        self, check: str, state: CheckState, message: str, action: str = ""
    ) -> CheckResult:
        return CheckResult(self._subject, check, state, message, action)

    async def _look_for_calls(self) -> _Listed:
        """The calls of the first span that has any. Raises SourceReadError."""
        spans = [span_s for span_s in SPANS_S if span_s < self._server.retention_s]
        listed = _Listed()
        for span_s in (*spans, self._server.retention_s):
            listed = await self._listed_since(self._clock.now() - timedelta(seconds=span_s))
            if listed.newest:
                break
        return listed

    async def _listed_since(self, start: datetime) -> _Listed:
        stop = self._clock.now() + timedelta(seconds=AHEAD_S)
        given = guarded_records(
            self._source, self._tenant, int(start.timestamp()), int(stop.timestamp()),
            record_timeout_s=10 * self._server.timeout_s,
        )  # fmt: skip
        listed = _Listed()
        async with aclosing(given) as records:
            async for record in records:
                listed.add(record)
        return listed

    def _newest(self, listed: _Listed) -> CheckResult:
        if listed.newest is not None:
            return newest_call(self._subject, listed.newest.started_at, self._clock.now())
        days = self._server.retention_s / 86_400
        action = "make a test call, and see whether the PBX's own list has it"
        return self._finding("newest call", "warn", f"none within the {days:g} d it keeps", action)

    def _unread(self, listed: _Listed) -> CheckResult:
        message = f"{listed.unread} listed cannot be read, the first because of {listed.reason}"
        action = (
            "they are parked with their reasons, and not billed: compare them with docs/vodia.md"
        )
        return self._finding("records", "warn", message, action)

    async def _trunks(self) -> str:
        trunks = await self._api.trunks(self._tenant)
        if unclear := [trunk.id for trunk in trunks if trunk.disabled is None]:
            raise Refused(f"whether trunk {', '.join(unclear)} is disabled cannot be read")
        shared = sum(trunk.shared for trunk in trunks)
        note = f", {shared} shared with other tenants and so never switched" if shared else ""
        return f"{len(trunks)} listed{note}"

    async def _live_calls(self, extension: str) -> str:
        calls = await self._api.live_calls(self._tenant, extension)
        if calls is None:
            raise Refused(f"knows no extension {extension}, which its calls name")
        return f"those of {extension} are shown: {len(calls)} now"

    async def _extension(self, extension: str) -> str:
        disabled = await self._api.extension_disabled(self._tenant, extension)
        if disabled is None:
            raise Refused(f"shows no extension {extension}: is `extension_state_path` right?")
        return f"{extension} reads {'disabled' if disabled else 'enabled'}"

    async def _accounts(self) -> str:
        """Check that the list of accounts has the extensions' state, to confirm a suspension."""
        listed = await self._api.accounts(self._tenant)
        extensions = [account for account in listed or () if account.is_extension]
        count = "no list of accounts is known" if listed is None else f"{len(extensions)} listed"
        if any(account.disabled is not None for account in extensions):
            return f"{count} with their state"
        if self._server.accept_unread:
            return f"{count}; an order counts as done unread, by `accept_unread`"
        raise Refused(f"{count}: whether one is disabled cannot be read back")

    async def _right(self, check: str, ask: Callable[[], Awaitable[str]]) -> CheckResult:
        try:
            return self._finding(check, "ok", await ask())
        except Refused as error:
            action = "give the account the right, or suspend by what it may switch; docs/vodia.md"
            if check == "extensions" and self._server.extension_state_path is None:
                action = "to suspend by extensions, set `extension_state_path` or `accept_unread`"
            return self._finding(check, "warn", str(error), action)
        except Retry as error:
            return self._finding(check, "fail", str(error), _what_to_do(error))


def _what_to_do(error: Exception) -> str:
    refused = isinstance(error, SourceReadError) and error.refused
    if refused:
        return "as it says; docs/vodia.md lists what the account must be allowed"
    return "look at the PBX: it answers, but not with what was asked for"


async def _nothing_known(_: Sequence[UUID]) -> set[UUID]:
    return set()

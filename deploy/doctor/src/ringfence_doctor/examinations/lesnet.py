"""Checks an account at Les.net without changing anything there.

Each CDR file is downloaded and parsed by its profile, but not ingested. Of the API, only the
balance and the read-back of the servers file are requested; switching a peer is not tried.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from decimal import Decimal

import httpx

from cdr_ingest.lesnet.cdr_file import CdrFile, CutOff, NotAFile, Report
from cdr_ingest.lesnet.files import Fetched, LesnetFiles
from cdr_ingest.lesnet.validators import Validators
from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput, Retry, shown
from ringfence_doctor.check_result import CheckResult, CheckState, newest_call
from ringfence_doctor.examinations.http import Address, examine_address
from ringfence_pbx.errors import Refused
from ringfence_pbx.lesnet.api import LesnetApi
from ringfence_pbx.lesnet.orders import PointerNotFound, ReadBack, at_pointer
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.servers import LesnetLink, LesnetServer

STALE_S = 26 * 3600
"""Files are written every 24 hours: if the newest row is older than this, a file is missing."""

_REFUSALS = range(400, 500)


async def examine_lesnet(
    server_id: str, server: LesnetServer, clock: Clock
) -> AsyncGenerator[CheckResult, None]:
    """All checks of the files and of the API."""
    if not server.links:
        action = "name the CDR files in `links`"
        yield CheckResult(server_id, "files", "fail", "none is named: no call is read", action)
    try:
        profile = server.read_profile()
        files = LesnetFiles(server_id, server, profile)
    except BadInput as error:
        action = "correct the entry or its profile; docs/lesnet.md has all fields"
        yield CheckResult(server_id, "settings", "fail", str(error), action)
    else:
        try:
            for link in server.links:
                file = LesnetFileExamination(server, link, profile, files, clock)
                async with aclosing(file.found()) as findings:
                    async for finding in findings:
                        yield finding
        finally:
            await files.aclose()
    async with aclosing(LesnetApiExamination(server_id, server, clock).found()) as findings:
        async for finding in findings:
            yield finding


class LesnetFileExamination:
    """Checks one CDR file."""

    def __init__(
        self, server: LesnetServer, link: LesnetLink, profile: Profile, files: LesnetFiles,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._server = server
        self._link = link
        self._profile = profile
        self._files = files
        self._clock = clock
        self._subject = f"{files.server_id} {link.known_as}"

    async def found(self) -> AsyncGenerator[CheckResult, None]:
        """All checks; after a failure, the checks that depend on it are skipped."""
        reachability = await examine_address(self._address(), self._clock)
        for finding in reachability.findings:
            yield finding
        if not reachability.reached:
            return
        try:
            fetched = await self._files.fetch(self._link, Validators(), lambda: None)
            assert fetched is not None, "without validators, a file is always returned"
            report = await asyncio.to_thread(self._read, fetched)
        except (Refused, Retry, NotAFile, BadInput) as error:
            yield self._finding("file", "fail", str(error), _what_to_do(error))
            return
        yield self._finding("file", "ok", f"{len(fetched.body)} bytes")
        yield self._rows(report)
        yield self._newest(report)

    def _address(self) -> Address:
        password = self._link.password
        secret = password.read().get_secret_value() if password else ""
        return Address(
            subject=self._subject,
            url=self._link.url,
            timeout_s=self._server.timeout_s,
            carries="the file",
            headers={"User-Agent": "ringfence/1"},
            auth=httpx.BasicAuth(self._link.user, secret) if password else None,
            passing=_REFUSALS,
            body=False,
        )

    def _finding(
        self, check: str, state: CheckState, message: str, action: str = ""
    ) -> CheckResult:
        return CheckResult(self._subject, check, state, message, action)

    def _read(self, fetched: Fetched) -> Report:
        """Parse the file by its profile. Raises NotAFile, CutOff and BadInput."""
        file = CdrFile(
            fetched.body, server_id=self._files.server_id, link=self._link, profile=self._profile
        )
        report = Report()
        report.add(file.records())
        return report

    def _rows(self, report: Report) -> CheckResult:
        action = "`ringfence lesnet try` shows what a profile makes of it; docs/lesnet.md"
        if refusal := report.refusal(self._server.max_unfit_percent):
            return self._finding("rows", "fail", f"refused whole: {refusal}", action)
        if report.unfit:
            line, reason = report.examples[0]
            message = (
                f"{report.fits} read, {report.unfit} do not fit; the first, line {line}: {reason}"
            )
            return self._finding("rows", "warn", message, action)
        if not report.fits:
            return self._finding(
                "rows", "warn", "the file has none", "ask Les.net, if there were calls"
            )
        return self._finding("rows", "ok", f"{report.fits} read, all fit")

    def _newest(self, report: Report) -> CheckResult:
        now = self._clock.now()
        if report.newest_at is None:
            action = "make a test call, and look again tomorrow: the file comes once a day"
            return self._finding(
                "newest call", "warn", "no call could be read from the file", action
            )
        newest = newest_call(self._subject, report.newest_at, now)
        if newest.state == "ok" and (now - report.newest_at).total_seconds() > STALE_S:
            action = "if there were calls since, look in Les.net's portal why no newer file comes"
            return self._finding("newest call", "warn", newest.message, action)
        return newest


class LesnetApiExamination:
    """Checks the account's API: its balance, and whether its peers can be read."""

    def __init__(self, server_id: str, server: LesnetServer, clock: Clock) -> None:
        self._server_id = server_id
        self._server = server
        self._clock = clock
        self._subject = f"{server_id} API"

    async def found(self) -> AsyncGenerator[CheckResult, None]:
        """All checks; without keys, a warning about what does not work then."""
        if self._server.api_key is None or self._server.id_key is None:
            action = "set api_key and id_key, if you have them; without, switch peers in the portal"
            message = "no keys: the balance is not watched, and no peer can be switched"
            yield self._finding("credentials", "warn", message, action)
            return
        reachability = await examine_address(self._address(), self._clock)
        for finding in reachability.findings:
            yield finding
        if not reachability.reached:
            return
        async with aclosing(self._asked()) as findings:
            async for finding in findings:
                yield finding

    async def _asked(self) -> AsyncGenerator[CheckResult, None]:
        api = LesnetApi(self._server_id, self._server, clock=self._clock)
        try:
            try:
                balance = await api.balance()
            except Refused as error:
                action = "check `api_key`, `id_key` and `url` against Les.net's portal"
                yield self._finding("credentials", "fail", str(error), action)
                return
            except Retry as error:
                yield self._finding("credentials", "fail", str(error), _what_to_do(error))
                return
            yield self._finding("credentials", "ok", "the keys are accepted")
            yield self._balance(balance)
            async with aclosing(self._switching(api)) as findings:
                async for finding in findings:
                    yield finding
        finally:
            await api.aclose()

    def _address(self) -> Address:
        return Address(
            subject=self._subject,
            url=self._server.url,
            timeout_s=self._server.timeout_s,
            carries="the API's keys",
            headers={"User-Agent": "ringfence/1"},
            passing=_REFUSALS,  # the API expects POST, so the status of a GET means nothing
            body=False,
        )

    def _finding(
        self, check: str, state: CheckState, message: str, action: str = ""
    ) -> CheckResult:
        return CheckResult(self._subject, check, state, message, action)

    def _balance(self, balance: Decimal) -> CheckResult:
        limit = self._server.balance_below
        action = "top up at Les.net: at zero, none of its clients can call"
        if balance <= 0:
            return self._finding("balance", "fail", f"{balance}: nothing is left", action)
        if limit is not None and balance < limit:
            return self._finding("balance", "warn", f"{balance}, below {limit}", action)
        note = "" if limit is not None else "; no `balance_below` is set, so there is no alarm"
        return self._finding("balance", "ok", f"{balance} is left{note}")

    async def _switching(self, api: LesnetApi) -> AsyncGenerator[CheckResult, None]:
        read_back = self._server.read_back
        if read_back is None:
            message = "no calls are configured: peers are switched by hand, in Les.net's portal"
            action = "ask Les.net for its API calls, then set `suspend`, `resume` and `read_back`"
            yield self._finding("rights", "warn", message, action)
            return
        asked = list(_asked_for(self._server, read_back))
        if not asked:
            message = "no link names a peer (and a DID, if the read-back wants one): not tried"
            yield self._finding("rights", "warn", message, "name them in `links`")
        for peer, did in asked:
            yield await self._peer(api, read_back, peer, did)

    async def _peer(self, api: LesnetApi, read_back: ReadBack, peer: str, did: str) -> CheckResult:
        path, payload = read_back.fill(peer=peer, did=did)
        try:
            answer = await api.request(path, payload)
            state, value = read_back.state(answer), at_pointer(answer, read_back.pointer)
        except Refused as error:
            action = "ask Les.net whether the keys may see and switch peers; check `read_back`"
            return self._finding("rights", "fail", str(error), action)
        except Retry as error:
            return self._finding("rights", "fail", str(error), _what_to_do(error))
        except PointerNotFound:
            state, value = None, "nothing"
        if state is None:
            message = f"{path} shows {shown(value, 60)} at {read_back.pointer} for peer {peer}"
            action = "correct `read_back`: its pointer, and what it takes for suspended and active"
            return self._finding("rights", "fail", message, action)
        return self._finding("rights", "ok", f"peer {peer} can be read: {state}")


def _asked_for(server: LesnetServer, read_back: ReadBack) -> Iterator[tuple[str, str]]:
    """The peer of each link, with a DID if the read-back requires one."""
    for peer, did in {
        link.peer.upper(): next(iter(link.dids), "") for link in server.links
    }.items():
        if peer and (did or not read_back.per_did):
            yield peer, did


def _what_to_do(error: Exception) -> str:
    if isinstance(error, CutOff):
        return "as it says; `ringfence lesnet try` shows what a profile makes of a file"
    if isinstance(error, Retry):
        return "ask again; if it stays so, look in Les.net's portal"
    return "as it says; docs/lesnet.md has more"

"""Polls one CDR file of Les.net: fetches it if it changed, and ingests or refuses it as a whole.

For a new version of the file, in this order:

1. All lines are parsed. If too many do not fit the profile, the whole file is refused.
2. The calls are ingested; of a refused file, one dead letter. A kill after this fetches the file
   again: the same rows have the same call ids and are dropped.
3. The version is saved as processed. A kill after this repeats nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from itertools import islice

import structlog

from cdr_ingest.ingest import Ingester
from cdr_ingest.lesnet.cdr_file import CdrFile, CutOff, NotAFile, Report
from cdr_ingest.lesnet.files import Fetched, LesnetFiles
from cdr_ingest.lesnet.metrics import FILE_REFUSED, NEWEST_ROW_AGE, UNFIT_LINES
from cdr_ingest.lesnet.store import FileState, LesnetFileStore
from cdr_ingest.lesnet.validators import Validators
from cdr_ingest.metrics import FAILURES
from cdr_ingest.polling.backoff import backed_off_s
from cdr_ingest.polling.guarded import SourceReadError
from cdr_ingest.polling.outage import OutageWatch
from cdr_ingest.polling.waiting import wait_reporting
from cdr_ingest.sources.source import BadRow
from ringfence.clock import Clock
from ringfence.observe.health import Progress
from ringfence.transient import TRANSIENT_ERRORS
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.errors import Refused
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.servers import LesnetLink, LesnetServer

_FIRST_WAIT_S = 5.0
_PARSED_TOGETHER = 5000
_READ_ERRORS: tuple[type[Exception], ...] = (Refused, *TRANSIENT_ERRORS)
log = structlog.get_logger()


class LinkPoller:
    """The loop for one link of one account at Les.net."""

    def __init__(
        self,
        *,
        files: LesnetFiles,
        server: LesnetServer,
        link: LesnetLink,
        profile: Profile,
        ingester: Ingester,
        store: LesnetFileStore,
        outages: OutageWatch,
        clock: Clock,
        batch_records: int,
        progress: Progress,
    ) -> None:
        self._files = files
        self._server_id = files.server_id
        self._server = server
        self._link = link
        self._profile = profile
        self._ingester = ingester
        self._store = store
        self._outages = outages
        self._clock = clock
        self._batch_records = batch_records
        self._progress = progress
        self.feed = link.known_as
        self._fingerprint = fingerprint(profile, link, server.max_unfit_percent)
        self._newest_at: datetime | None = None
        self._our_failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set. A failed poll is retried within `poll_s`."""
        while not stop.is_set():
            wait_s = await self.run_once()
            await wait_reporting(stop, wait_s, self._report)

    def _report(self) -> None:
        self._progress.turned()
        if (age_s := self._age_s()) is not None:
            NEWEST_ROW_AGE.labels(self._server_id, self.feed).set(age_s)

    def _age_s(self) -> float | None:
        if self._newest_at is None:
            return None
        return (self._clock.now() - self._newest_at).total_seconds()

    async def run_once(self) -> float:
        """Poll once and record the result. Returns the seconds until the next poll."""
        try:
            refusal = await self.poll()
            if refusal:
                await self._outages.record_failure(refusal, refused=True)
            else:
                await self._outages.record_success()
        except SourceReadError as error:
            return await self._source_failed(error)
        except TRANSIENT_ERRORS as error:
            return self._we_failed(error)
        self._our_failures = 0
        return self._server.poll_s

    async def _source_failed(self, error: SourceReadError) -> float:
        FAILURES.labels(self._server_id, self.feed).inc()
        try:
            failures = await self._outages.record_failure(str(error), refused=error.refused)
        except TRANSIENT_ERRORS as ours:
            return self._we_failed(ours)
        if error.refused:
            return self._server.poll_s
        return max(error.after_s, backed_off_s(failures, _FIRST_WAIT_S, self._server.poll_s))

    def _we_failed(self, error: Exception) -> float:
        """Kafka or PostgreSQL failed: this is no outage of the source."""
        self._our_failures += 1
        log.warning("polling waits", lane=self.feed, reason=repr(error))
        return backed_off_s(self._our_failures, _FIRST_WAIT_S, 60.0)

    async def poll(self) -> str:
        """Process the file if it changed. Returns why its version is refused; empty if it is not.

        Raises SourceReadError if the file cannot be fetched.
        """
        state = await self._store.state(self._server_id, self.feed)
        if state and state.profile != self._fingerprint:
            state = replace(state, validators=Validators(), sha256="")
        fetched = await self._fetch(state.validators if state else Validators())
        if fetched is not None:
            digest = sha256(fetched.body).hexdigest()
            if state is None or digest != state.sha256:
                return await self._process_file(fetched, digest, state)
        if state is None:
            raise SourceReadError(
                Refused(f"{self.feed}: answers 304 to a request without validators")
            )
        if fetched is not None and fetched.validators != state.validators:
            state = replace(state, validators=fetched.validators)
            await self._store.save_state(self._server_id, self.feed, state)
        self._report_state("file unchanged", state)
        return state.refusal

    async def _fetch(self, known: Validators) -> Fetched | None:
        try:
            return await self._files.fetch(self._link, known, self._progress.turned)
        except _READ_ERRORS as error:
            raise SourceReadError(error) from error

    async def _process_file(self, fetched: Fetched, digest: str, before: FileState | None) -> str:
        report, refusal = Report(), ""
        try:
            file = CdrFile(
                fetched.body, server_id=self._server_id, link=self._link, profile=self._profile
            )
            async for batch in in_batches(file.records(), _PARSED_TOGETHER):
                report.add(batch)
                self._progress.turned()
            refusal = report.refusal(self._server.max_unfit_percent) or ""
        except CutOff as error:
            raise SourceReadError(error) from error
        except NotAFile as error:
            raise SourceReadError(Refused(str(error))) from error
        except BadInput as error:
            refusal = f"the format changed, or the profile is wrong: {error}"
        new = 0
        if refusal:
            await self._ingester.ingest([self._refusal_record(fetched, digest, report, refusal)])
        else:
            new = await self._ingest(file)
        # An empty file may be incomplete: without validators it is fetched again.
        validators = fetched.validators if fetched.body.strip() else Validators()
        newest_at = before.newest_at if before else None
        if not refusal and report.newest_at:
            newest_at = max(newest_at or report.newest_at, report.newest_at)
        state = FileState(validators, digest, self._fingerprint, refusal[:500], newest_at)
        await self._store.save_state(self._server_id, self.feed, state)
        UNFIT_LINES.labels(self._server_id, self.feed).set(report.unfit)
        self._report_state(
            "file refused" if refusal else "file read",
            state,
            new=new,
            fits=report.fits,
            unfit=report.unfit,
            repeated=report.repeated,
        )
        return refusal

    async def _ingest(self, file: CdrFile) -> int:
        new = 0
        async for batch in in_batches(file.records(), self._batch_records):
            taken = await self._ingester.ingest(batch)
            new += taken
            self._progress.turned(read=taken)
        return new

    def _refusal_record(
        self, fetched: Fetched, digest: str, report: Report, refusal: str
    ) -> BadRow:
        """A dead letter for the whole file, with what an operator needs to correct its profile."""
        content = {
            "server_id": self._server_id,
            "link": self.feed,
            "sha256": digest,
            "bytes": len(fetched.body),
            "profile": self._fingerprint,
            "refusal": refusal,
            "lines_that_fit": report.fits,
            "lines_that_do_not": report.unfit,
            "examples": [{"line": line, "reason": reason} for line, reason in report.examples],
        }
        raw = json.dumps(content, ensure_ascii=False, indent=1).encode()
        tenant = self._link.peer.upper() or "*"
        return BadRow(self._server_id, tenant, raw, 0, f"file refused whole: {refusal}")

    def _report_state(self, event: str, state: FileState, **counts: int) -> None:
        self._newest_at = state.newest_at
        FILE_REFUSED.labels(self._server_id, self.feed).set(bool(state.refusal))
        self._report()
        age_s = self._age_s()
        write = log.error if state.refusal else log.info
        write(
            event,
            server_id=self._server_id,
            link=self.feed,
            newest_row_age_s=None if age_s is None else round(age_s),
            exposure=exposure(age_s),
            **counts,
            **({"reason": state.refusal} if state.refusal else {}),
        )


def exposure(age_s: float | None) -> str:
    """What the age of the newest row means for the operator."""
    if age_s is None:
        return "no call was ever read from this file"
    if age_s < 0:
        return "the newest row is in the future: is the profile's zone right?"
    return f"calls of the last {age_s / 3600:.1f} h are not billed yet, and suspend nobody"


def fingerprint(profile: Profile, link: LesnetLink, max_unfit_percent: float) -> str:
    """A hash of the settings by which a file is read; if it changes, the file is read again."""
    parts = (profile.model_dump_json(), link.peer, *link.dids, str(max_unfit_percent))
    return sha256("\x1f".join(parts).encode()).hexdigest()


async def in_batches(
    records: Iterator[CallCompleted | BadRow], size: int
) -> AsyncIterator[list[CallCompleted | BadRow]]:
    """The records in lists of `size`, parsed in a thread so that the event loop is not blocked."""
    while batch := await asyncio.to_thread(list, islice(records, size)):
        yield batch

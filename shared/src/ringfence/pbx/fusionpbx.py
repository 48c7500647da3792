"""What ringfence asks of a FusionPBX: exports of calls, and switching what carries them.

Stock FusionPBX has no API: this speaks the pages that a browser uses. What it relies on was seen
on 5.5 and read in the sources of 5.0 to 5.6.
"""

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self

from ringfence.errors import Retry, RingfenceError, shown
from ringfence.pbx.fusionpbx_connection import (
    EXPORT,
    Answer,
    Connection,
    Fields,
    Refused,
    read_api_key,
)
from ringfence.pbx.fusionpbx_lines import split_lines
from ringfence.pbx.fusionpbx_pages import (
    PATHS,
    Kind,
    ListedRow,
    Token,
    gateway_name,
    read_list,
)
from ringfence.pbx.fusionpbx_status import SwitchStatus, read_status
from ringfence.pbx.servers import FusionPbxServer

__all__ = [
    "FusionPbxSession",
    "Kind",
    "ListedRow",
    "Listing",
    "Refused",
    "SwitchStatus",
    "read_api_key",
]

COMMAND = "/app/sip_status/cmd.php"
SIP_STATUS = "/app/sip_status/sip_status.php"
GATEWAY = "/app/gateways/gateway_edit.php"
MAX_PAGES = 2000
"""A list of more pages than this is taken for one that never ends."""

_WHOLE = (b'"\n', b'"\r\n')
_Asking = Callable[[str, str, Fields], Awaitable[Answer]]
_Until = Callable[[Mapping[str, ListedRow]], bool]


@dataclass(frozen=True)
class Listing:
    """A whole list by uuid, and the token with which rows of it can be toggled."""

    rows: dict[str, ListedRow]
    token: Token | None


class FusionPbxSession:
    """One login of a server's api key; it logs in when first used, and again when that was lost.

    `host` is sent as the Host header: it names the domain in which FusionPBX looks the key up.
    With another `tenant`, a superadmin's session enters that domain, so that its extensions can be
    switched. `slots` bounds the requests under way, and may be shared by sessions of one server.

    Errors: Retry when the server or the way to it is unwell, Refused when it says no.
    """

    def __init__(
        self,
        server_id: str,
        server: FusionPbxServer,
        *,
        host: str | None = None,
        tenant: str | None = None,
        slots: asyncio.Semaphore | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenant = tenant
        # A message is shown once, on the session's next page, whichever that is.
        self._page_lock = asyncio.Lock()
        self._unread = False
        self._at = Connection(
            server_id,
            server,
            host=host,
            slots=slots,
            enter=self._enter if tenant and tenant != host else None,
            monotonic=monotonic,
        )

    @property
    def name(self) -> str:
        """The server's id and the host name, as errors name it."""
        return self._at.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._at.aclose()

    async def export(
        self, start_epoch: int, stop_epoch: int, *, all_tenants: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The CSV export of calls that started within the window (inclusive), line by line.

        Yields the header first, then each row's line, newline included; nothing at all when there
        are no calls. Both epochs are at least 1: FusionPBX takes 0 for "not given" and would export
        everything. Use it within `contextlib.aclosing`: it holds a connection until it is closed.
        """
        assert 0 < start_epoch <= stop_epoch
        window = {"start_epoch": str(start_epoch), "stop_epoch": str(stop_epoch)}
        params = {"export_format": "csv", **window, **({"show": "all"} if all_tenants else {})}
        for _ in range(2):
            login = await self._at.log_in()
            async with (
                self._at.stream("GET", EXPORT, params) as response,
                aclosing(split_lines(response.aiter_bytes())) as lines,
            ):
                header = await _first_written(lines)
                if response.status_code == 200 and header is None:
                    return
                if response.status_code == 200 and header and b"xml_cdr_uuid" in header:
                    self._check_scope(header, all_tenants)
                    async with aclosing(self._rows(header, lines)) as rows:
                        async for row in rows:
                            yield row
                    return
                answer = await self._at.whole(response, header or b"", lines)
            self._at.sound(answer, EXPORT)
            if not answer.lost:
                raise self._no_export(answer)
            self._at.forget(login)
        raise self._at.ended()

    def _check_scope(self, header: bytes, all_tenants: bool) -> None:
        if all_tenants and header.endswith(_WHOLE) and b'"domain_name"' not in header:
            raise self._at.refused(
                "does not export all tenants to this key: its user must be a superadmin, or the "
                "server entry must name its tenants and not set all_tenants"
            )

    async def _rows(
        self, header: bytes, lines: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        """The header and the rows, each once it is sure to be whole.

        Every line of an export ends in a quote and a newline. A body that was cut off, or that ends
        in a PHP error, does not; its status 200 was sent long before.
        """
        held = header
        async for line in lines:
            if line.strip():
                yield held
                held = line
        if not held.endswith(_WHOLE):
            said = self._at.seen(held.decode("utf-8", "replace"))
            raise Retry(f"{self.name}: the export broke off at {said}")
        yield held

    def _no_export(self, answer: Answer) -> RingfenceError:
        if answer.denied:
            return self._at.refused("gives the key's user no right to export calls")
        return self._at.unexpected("the export", answer)

    async def list_rows(
        self,
        kind: Kind,
        *,
        all_tenants: bool = False,
        search: str = "",
        until: _Until | None = None,
    ) -> Listing:
        """The rows of a list by uuid (of all tenants: a superadmin only).

        `search` narrows it to rows that hold this text, in their name or another of their columns:
        a list of gateways asks the switch once for each row. A list comes in pages; reading stops
        once `until` is true of the rows so far.
        """
        async with self._page_lock:
            return await self._list(self._at.ask, kind, all_tenants, search, until)

    async def _list(
        self,
        ask: _Asking,
        kind: Kind,
        all_tenants: bool = False,
        search: str = "",
        until: _Until | None = None,
    ) -> Listing:
        rows: dict[str, ListedRow] = {}
        given = {"show": "all"} if all_tenants else {}
        given |= {"search": search} if search else {}
        for number in range(MAX_PAGES):
            answer = await ask("GET", PATHS[kind], {"page": str(number), **given})
            page = read_list(answer.text, kind, show_all=all_tenants)
            if page is None:
                raise self._no_list(kind, answer)
            new = {row.uuid: row for row in page.rows if row.uuid not in rows}
            rows |= new
            if not new or (until and until(rows)):
                return Listing(rows, page.token)
        raise Retry(f"{self.name}: the list of {kind} has no end")

    async def gateway_name(self, uuid: str) -> str:
        """The name of a gateway by the form that edits it; empty where it cannot be learned."""
        async with self._page_lock:
            answer = await self._at.ask("GET", GATEWAY, {"id": uuid})
        return gateway_name(answer.text)

    def _no_list(self, kind: Kind, answer: Answer) -> RingfenceError:
        if answer.denied or answer.redirects:
            return self._at.refused(f"gives the key's user no right to see {kind}")
        return self._at.unexpected(f"the list of {kind}", answer)

    async def toggle(self, kind: Kind, uuids: Collection[str], token: Token | None) -> None:
        """Flip the stored flag of each row. The answer is a redirect whether it did so or not.

        So read the list before, toggle only what differs, and read it again. `token` is that of
        the list just read.
        """
        form = {"action": "toggle"}
        for number, uuid in enumerate(uuids):
            form |= {f"{kind}[{number}][checked]": "true", f"{kind}[{number}][uuid]": uuid}
        if token is not None:
            form[token.name] = token.value
        async with self._page_lock:
            answer = await self._at.ask("POST", PATHS[kind], form=form)
        if answer.denied:
            raise self._at.refused(f"gives the key's user no right to switch {kind}")

    async def killgw(self, profile: str, *gateway_uuids: str) -> SwitchStatus:
        """Take live gateways down; harmless when they are down. A toggle alone never does that."""
        orders = [{"profile": profile, "gateway": uuid} for uuid in gateway_uuids]
        return await self._command("killgw", orders)

    async def rescan(self, profile: str) -> SwitchStatus:
        """Bring up the profile's enabled gateways that are not live; it removes none."""
        return await self._command("rescan", [{"profile": profile}])

    async def cache_flush(self) -> SwitchStatus:
        """Drop the cached directory and dialplan, which otherwise live on for an hour."""
        return await self._command("cache-flush", [{}])

    async def status(self) -> SwitchStatus:
        """What the switch says of itself. Raises Retry when it was not reached."""
        async with self._page_lock:
            return await self._status()

    async def live_gateways(self) -> frozenset[str]:
        """The uuids of the gateways that the switch runs now, whatever is stored."""
        return frozenset((await self.status()).gateways)

    async def _status(self) -> SwitchStatus:
        answer = await self._at.ask("GET", SIP_STATUS)
        if answer.denied or answer.redirects:
            raise self._at.refused("shows SIP status to superadmins only: use a superadmin's key")
        status = read_status(answer.text)
        self._unread = False
        if status.refused:
            raise Retry(f"{self.name}: the switch was not reached: its event socket is down")
        if not status.reached:
            raise Retry(
                f"{self.name}: the switch was not reached: SIP status lists no profile; if this "
                "stays so, the key's user may lack the right system_status_sofia_status"
            )
        return status

    async def _command(self, action: str, orders: Sequence[Fields]) -> SwitchStatus:
        """Send the orders, and read on the next page what the switch answered and shows after."""
        async with self._page_lock:
            if self._unread:
                await self._status()  # answers that an earlier failure left must not pass for ours
            self._unread = True
            for order in orders:
                answer = await self._at.ask("GET", COMMAND, {"action": action, **order})
                if answer.denied:
                    raise self._at.refused(
                        f"runs {action} for superadmins only: use a superadmin's key"
                    )
                if not answer.redirects:
                    raise self._at.unexpected(action, answer)
            status = await self._status()
        self._check_answers(action, status.answers)
        return status

    def _check_answers(self, action: str, answers: Sequence[str]) -> None:
        """A command is answered by a redirect in any case; this is what the switch said of it."""
        if not answers:
            raise Retry(f"{self.name}: the switch was not reached: no answer to {action}")
        for said in answers:
            if "Invalid Profile" in said:
                raise self._at.refused(
                    f"has no such SIP profile ({self._at.seen(said)}): correct sip_profile"
                )
            if "+OK" not in said and "no such gateway" not in said:
                raise Retry(f"{self.name}: the switch answered {action}: {self._at.seen(said)}")

    async def _enter(self) -> None:
        """Make the tenant the session's domain, as a superadmin does by choosing it."""
        tenant = self._tenant or ""
        listing = await self._list(self._at.send, "domains", until=_named(tenant))
        uuids = [row.uuid for row in listing.rows.values() if row.name.lower() == tenant.lower()]
        if not uuids:
            raise self._at.refused(f"has no domain {shown(tenant)}, or hides it from this key")
        change = {"domain_uuid": uuids[0], "domain_change": "true"}
        answer = await self._at.send("GET", PATHS["domains"], change)
        if not answer.redirects or "domains.php" in answer.location or answer.lost:
            raise self._at.refused(f"does not let the key's user enter {shown(tenant)}")


def _named(name: str) -> _Until:
    return lambda rows: any(row.name.lower() == name.lower() for row in rows.values())


async def _first_written(lines: AsyncIterator[bytes]) -> bytes | None:
    async for line in lines:
        if line.strip():
            return line
    return None

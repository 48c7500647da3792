"""What ringfence asks of a FusionPBX: exports of calls, and switching what carries them.

Stock FusionPBX has no API: this speaks the pages that a browser uses. What it relies on was seen
on 5.5 and read in the sources of 5.0 to 5.6.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing

from ringfence_contracts.errors import Retry, RingfenceError
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.connection import EXPORT, Fields, PageResponse, read_api_key
from ringfence_pbx.fusionpbx.lines import split_lines
from ringfence_pbx.fusionpbx.lists import NO_ROW, ListedRows, ListSession
from ringfence_pbx.fusionpbx.pages import PATHS, Kind, ListedRow, gateway_name
from ringfence_pbx.fusionpbx.status import SwitchStatus, count_answers, read_status

__all__ = [
    "FusionPbxSession",
    "Kind",
    "ListedRow",
    "ListedRows",
    "Refused",
    "SwitchStatus",
    "read_api_key",
]

COMMAND = "/app/sip_status/cmd.php"
SIP_STATUS = "/app/sip_status/sip_status.php"
GATEWAY = "/app/gateways/gateway_edit.php"

_END = "</html>"
_WHOLE = (b'"\n', b'"\r\n')


class FusionPbxSession(ListSession):
    """One login that also exports calls and speaks to the switch; see `ListSession`."""

    _unread = False
    """Whether answers of the switch may be waiting for the next page."""

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
            login = await self._connection.log_in()
            async with (
                self._connection.stream("GET", EXPORT, params) as response,
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
                answer = await self._connection.read_response(response, header or b"", lines)
            self._connection.check_status(answer, EXPORT)
            if not answer.lost:
                raise self._no_export(answer)
            self._connection.session_lost(login)
        raise self._connection.session_ended()

    def _check_scope(self, header: bytes, all_tenants: bool) -> None:
        if all_tenants and header.endswith(_WHOLE) and b'"domain_name"' not in header:
            raise self.refused(
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
            said = self._connection.quoted(held.decode("utf-8", "replace"))
            raise Retry(f"{self.name}: the export broke off at {said}")
        yield held

    def _no_export(self, answer: PageResponse) -> RingfenceError:
        if answer.denied:
            return self.refused("gives the key's user no right to export calls")
        return self.unexpected("the export", answer)

    async def gateway_name(self, uuid: str) -> str | None:
        """The name of a gateway by the form that edits it; empty if there is none of that uuid.

        None where the form is not shown.
        """
        answer = await self.page("GET", GATEWAY, {"id": uuid})
        return gateway_name(answer.text)

    async def count_stopped(self, gateway_uuids: Collection[str]) -> int:
        """Have the list page send killgw for each of these that is still enabled, in its profile.

        How many the switch was asked about; if as many as were named, all of them are enabled.
        Without the event socket it is none, and nothing says so.
        """
        async with self._page_lock:
            await self._stop(gateway_uuids)
            # A page without rows shows the answers, and costs the switch nothing.
            params = {"page": "0", "show": "all", "search": NO_ROW}
            answer = await self._connection.request("GET", PATHS["gateways"], params)
            self._note_token(PATHS["gateways"], answer)
            self._unread = False
        return count_answers(answer.text)

    async def disable_live(self, gateway_uuids: Collection[str]) -> SwitchStatus:
        """Stop enabled gateways, and flip their flag: what the switch answered and shows after."""
        async with self._page_lock:
            await self._stop(gateway_uuids)
            await self._act("gateways", "toggle", gateway_uuids)
            return await self._status()

    async def _stop(self, gateway_uuids: Collection[str]) -> None:
        if self._unread:
            await self._status()  # answers that an earlier failure left must not pass for ours
        self._unread = True
        await self._act("gateways", "stop", gateway_uuids)

    async def killgw(self, profile: str, *gateway_uuids: str) -> SwitchStatus:
        """Take live gateways down; harmless when they are down. A toggle alone never does that."""
        return await self.kill_in(dict.fromkeys(gateway_uuids, profile))

    async def kill_in(self, profile_of: Mapping[str, str]) -> SwitchStatus:
        """`killgw` for gateways by uuid, each in the SIP profile that runs it."""
        orders = [{"profile": p, "gateway": uuid} for uuid, p in profile_of.items()]
        return await self._command("killgw", orders)

    async def rescan(self, *profiles: str) -> SwitchStatus:
        """Bring up the profiles' enabled gateways that are not live; it removes none."""
        return await self._command("rescan", [{"profile": profile} for profile in profiles])

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
        answer = await self._connection.request("GET", SIP_STATUS)
        if answer.denied or answer.redirects:
            raise self.refused("shows SIP status to superadmins only: use a superadmin's key")
        if _END not in answer.text:
            raise Retry(f"{self.name}: SIP status broke off: what it does not list may run")
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
                answer = await self._connection.request("GET", COMMAND, {"action": action, **order})
                if answer.denied:
                    raise self.refused(
                        f"runs {action} for superadmins only: use a superadmin's key"
                    )
                if not answer.redirects:
                    raise self.unexpected(action, answer)
            status = await self._status()
        self._check_answers(action, status.answers)
        return status

    def _check_answers(self, action: str, answers: Sequence[str]) -> None:
        """A command is answered by a redirect in any case; this is what the switch said of it."""
        if not answers:
            raise Retry(f"{self.name}: the switch was not reached: no answer to {action}")
        for answer in answers:
            text = self._connection.quoted(answer)
            if "Invalid Profile" in answer:
                raise self.refused(f"has no such SIP profile ({text}): correct sip_profile")
            if "+OK" not in answer and "no such gateway" not in answer:
                raise Retry(f"{self.name}: the switch answered {action}: {text}")


async def _first_written(lines: AsyncIterator[bytes]) -> bytes | None:
    async for line in lines:
        if line.strip():
            return line
    return None

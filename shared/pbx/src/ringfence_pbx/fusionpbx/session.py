"""A session at a FusionPBX that exports calls and switches gateways.

Stock FusionPBX has no API, so this uses the pages that a browser uses. It relies on behaviour seen
on 5.5 and on the sources of 5.0 to 5.6.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing

from ringfence_contracts.errors import Retry, RingfenceError
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.connection import EXPORT, Fields, PageResponse, read_api_key
from ringfence_pbx.fusionpbx.exports.lines import split_lines
from ringfence_pbx.fusionpbx.exports.signing import DefaultSetting
from ringfence_pbx.fusionpbx.form import read_form
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
DEFAULT_SETTING = "/core/default_settings/default_setting_edit.php"

_END = "</html>"
_WHOLE = (b'"\n', b'"\r\n')


class FusionPbxSession(ListSession):
    """A `ListSession` that also exports calls and sends commands to the switch."""

    _unread = False
    """Whether the next page may show answers of the switch to earlier commands."""

    async def export(
        self, start_epoch: int, stop_epoch: int, *, all_tenants: bool = False, least_s: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """The CSV export of calls that started within the window (inclusive), line by line.

        Only calls with a `duration` of at least `least_s`: up to FusionPBX 5.1 their ringing and
        talking, from 5.2 on their talking.

        Yields the header, then the line of each row, with its newline; nothing if there are no
        calls. Both epochs must be at least 1: FusionPBX takes 0 for "not given" and would export
        all calls. Use it within `contextlib.aclosing`: it holds a connection until it is closed.
        """
        assert 0 < start_epoch <= stop_epoch
        window = {"start_epoch": str(start_epoch), "stop_epoch": str(stop_epoch)}
        params = {"export_format": "csv", **window, **({"show": "all"} if all_tenants else {})}
        params |= {"duration_min": str(least_s)} if least_s else {}
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

    async def export_of(
        self, uuid: str, *, all_tenants: bool = False, filters: Mapping[str, str] | None = None
    ) -> str:
        """The CSV export of the one call with this id; blank if the PBX holds no such call.

        Everything below the header is the row of that call, line breaks in its texts included.
        `filters` are further values that the call must have, as FusionPBX's page of calls takes
        them: `duration_min`, `duration_max`, `direction`, `destination_number`, and `start_epoch`
        with `stop_epoch`. A blank answer also comes when the key's user lacks a right or the
        default setting of the export is broken, so it proves nothing before a call that the PBX
        does hold was found. Such requests may be made in parallel, while an export is being read.
        """
        params = {"export_format": "csv", "xml_cdr_uuid": uuid, **(filters or {})}
        params |= {"show": "all"} if all_tenants else {}
        for _ in range(2):
            login = await self._connection.log_in()
            answer = await self._connection.send("GET", EXPORT, params, beside=True)
            header, _, _ = answer.text.strip().partition("\n")
            # Looked at first: a text within a row may look like the login page.
            if answer.status == 200 and (not header or '"xml_cdr_uuid"' in header):
                return answer.text
            if not answer.lost:
                raise self._no_export(answer)
            self._connection.session_lost(login)
        raise self._connection.session_ended()

    async def add_default_setting(self, setting: DefaultSetting) -> None:
        """Add a default setting, in force from the next login on; a superadmin may.

        The answer does not show whether it is in force: read what it changes.
        """
        page = await self.page("GET", DEFAULT_SETTING)
        form = read_form(page.text, "default_setting_category")
        if page.denied or form is None or not form.has_token:
            raise self.refused(
                "lets superadmins with the right default_setting_add enter default settings only"
            )
        values = {
            **{f"default_setting_{name}": value for name, value in setting._asdict().items()},
            "default_setting_enabled": "true",
            "default_setting_description": "ringfence: signed export of calls",
        }
        answer = await self.page("POST", DEFAULT_SETTING, form=form.filled(values))
        if not answer.redirects:
            raise self.unexpected("a default setting", answer)

    def forget_login(self) -> None:
        """Log in again before the next request, so that changed settings are in force."""
        self._connection.session_lost(self._connection.generation)

    def _check_scope(self, header: bytes, all_tenants: bool) -> None:
        if all_tenants and header.endswith(_WHOLE) and b'"domain_name"' not in header:
            raise self.refused(
                "does not export all tenants to this key: its user must be a superadmin, or the "
                "server entry must name its tenants and not set all_tenants"
            )

    async def _rows(
        self, header: bytes, lines: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        """The header and the rows, each once it is known to be complete.

        Every line of an export ends in a quote and a newline. An incomplete body, or one that ends
        in a PHP error, does not; its status 200 was sent before.
        """
        held = header
        async for line in lines:
            if line.strip():
                yield held
                held = line
        if not held.endswith(_WHOLE):
            last = self._connection.quoted(held.decode("utf-8", "replace"))
            raise Retry(f"{self.name}: the export broke off at {last}")
        yield held

    def _no_export(self, answer: PageResponse) -> RingfenceError:
        if answer.denied:
            return self.refused("gives the key's user no right to export calls")
        return self.unexpected("the export", answer)

    async def gateway_name(self, uuid: str) -> str | None:
        """The name of a gateway from its edit form; empty if no gateway has that uuid.

        None if the form is not shown.
        """
        answer = await self.page("GET", GATEWAY, {"id": uuid})
        return gateway_name(answer.text)

    async def count_stopped(self, gateway_uuids: Collection[str]) -> int:
        """Let the list page send killgw for each of these gateways that is still enabled.

        Returns the number of answers of the switch. If it is the number of gateways, all of them
        are enabled. Without the event socket it is 0, and FusionPBX shows no error.
        """
        async with self._page_lock:
            await self._stop(gateway_uuids)
            # A page without rows shows the answers, and sends no request to the switch.
            params = {"page": "0", "show": "all", "search": NO_ROW}
            answer = await self._connection.request("GET", PATHS["gateways"], params)
            self._note_token(PATHS["gateways"], answer)
            self._unread = False
        return count_answers(answer.text)

    async def disable_live(self, gateway_uuids: Collection[str]) -> SwitchStatus:
        """Stop enabled gateways, flip their flags, and return the status afterwards."""
        async with self._page_lock:
            await self._stop(gateway_uuids)
            await self._act("gateways", "toggle", gateway_uuids)
            return await self._status()

    async def _stop(self, gateway_uuids: Collection[str]) -> None:
        if self._unread:
            await self._status()  # discards answers to earlier commands
        self._unread = True
        await self._act("gateways", "stop", gateway_uuids)

    async def killgw(self, profile: str, *gateway_uuids: str) -> SwitchStatus:
        """Stop live gateways; no effect on stopped ones. A toggle alone does not stop a gateway."""
        return await self.kill_in(dict.fromkeys(gateway_uuids, profile))

    async def kill_in(self, profile_of: Mapping[str, str]) -> SwitchStatus:
        """As `killgw`; `profile_of` maps the uuids of gateways to their SIP profiles."""
        orders = [{"profile": p, "gateway": uuid} for uuid, p in profile_of.items()]
        return await self._command("killgw", orders)

    async def rescan(self, *profiles: str) -> SwitchStatus:
        """Start the enabled gateways of the profiles that are not live; it stops none."""
        return await self._command("rescan", [{"profile": profile} for profile in profiles])

    async def cache_flush(self) -> SwitchStatus:
        """Drop the cached directory and dialplan, which would stay in use for up to an hour."""
        return await self._command("cache-flush", [{}])

    async def status(self) -> SwitchStatus:
        """The status of the switch. Raises Retry when the switch was not reached."""
        async with self._page_lock:
            return await self._status()

    async def live_gateways(self) -> frozenset[str]:
        """The uuids of the gateways that the switch runs now, independent of the stored flags."""
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
        """Send the commands, and read the answers and the status from the next page."""
        async with self._page_lock:
            if self._unread:
                await self._status()  # discards answers to earlier commands
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
        """Raise unless the switch accepted the command; FusionPBX's redirect does not show it."""
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

"""The requests to a Vodia PBX: its list of calls, and switching trunks and extensions.

They follow the vendor's REST catalogue of version 70.3; all verbs and paths are here and in
`vodia.connection`. Every change names the desired state, so it is idempotent.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from ringfence_pbx.decimal_json import Json
from ringfence_pbx.errors import Refused
from ringfence_pbx.servers import VodiaServer
from ringfence_pbx.throttle import Throttled
from ringfence_pbx.vodia.accounts import VodiaAccount, accounts_of, flag, tenants_of
from ringfence_pbx.vodia.connection import VodiaConnection

__all__ = [
    "Refused",
    "Throttled",
    "VodiaAccount",
    "VodiaApi",
    "VodiaCall",
    "VodiaTrunk",
]

_CALL_IDS = ("callid", "call-id", "call_id", "id")
"""The fields that may hold a live call's id; the vendor documents none."""


@dataclass(frozen=True)
class VodiaTrunk:
    """A tenant's trunk. `disabled` is None where the flag cannot be read.

    A `shared` trunk also carries calls of other tenants (Vodia calls it `global`).
    """

    id: str
    name: str
    disabled: bool | None
    shared: bool


@dataclass(frozen=True)
class VodiaCall:
    """A call in progress: the id by which it is ended, and all fields that the PBX shows."""

    id: str
    fields: dict[str, Json]


class VodiaApi:
    """One Vodia PBX. Errors as in `VodiaConnection`."""

    def __init__(
        self,
        server_id: str,
        server: VodiaServer,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._connection = VodiaConnection(server_id, server, monotonic=monotonic)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def cdrs(self, tenant: str, *, page: int, size: int) -> list[Json]:
        """One page (from 1) of a tenant's calls, as listed; empty after the last page."""
        path = f"/rest/domain/{_in_path(tenant)}/cdrs"
        return await self._list(path, {"size": str(size), "page": str(page)})

    async def trunks(self, tenant: str) -> list[VodiaTrunk]:
        """The trunks that a tenant can use, shared ones included."""
        path = f"/rest/domain/{_in_path(tenant)}/domain_trunks"
        listed = await self._list(path)
        if not all(isinstance(row, dict) and "id" in row for row in listed):
            raise self._connection.unexpected_json(path, listed)
        return [_trunk(row) for row in listed]

    async def tenants(self) -> list[str]:
        """The names of all tenants; only a system administrator's account may ask."""
        path = "/rest/system/domains"
        found = tenants_of(listed := await self._connection.get(path))
        if found is None:
            raise self._connection.unexpected_json(path, listed)
        return found

    async def accounts(self, tenant: str) -> list[VodiaAccount] | None:
        """A tenant's extensions and other accounts; None when the PBX has no list of them.

        `users` is in the vendor's older catalogue, `userlist` in the code of newer clients.
        """
        for name in ("users", "userlist/extensions"):
            path = f"/rest/domain/{_in_path(tenant)}/{name}"
            listed = await self._connection.get(path, missing_ok=True)
            if listed is None:
                continue
            found = accounts_of(listed)
            if found is None:
                raise self._connection.unexpected_json(path, listed)
            return found
        return None

    async def set_trunk(self, tenant: str, trunk_id: str, *, disabled: bool) -> None:
        """Disable or enable a trunk."""
        body = {"dis": "true" if disabled else "false"}
        where = f"/rest/domain/{_in_path(tenant)}"
        if self._server.verbs == "put":
            await self._connection.write(f"{where}/edit_trunk/{_in_path(trunk_id)}", body)
        else:
            await self._connection.write(f"{where}/domain_trunks", body, {"trunk": trunk_id})

    async def set_extensions(
        self, tenant: str, extensions: Collection[str], *, disabled: bool
    ) -> None:
        """Disable or enable extensions in one request."""
        action = "disable_selected" if disabled else "enable_selected"
        body = {"type": "accounts", "action": action, "selected": " ".join(extensions)}
        await self._connection.write(f"/rest/domain/{_in_path(tenant)}/domain_action", body)

    async def extension_disabled(self, tenant: str, extension: str) -> bool | None:
        """Whether an extension is disabled, as read at `extension_state_path`.

        None when the PBX has no such extension. Raises Refused without a path, and when the answer
        has no such field: the vendor documents neither, so the operator must configure them.
        """
        template = self._server.extension_state_path
        if template is None:
            raise self._connection.refused("cannot be read back: no `extension_state_path` is set")
        path = template.format(tenant=_in_path(tenant), extension=_in_path(extension))
        shown = await self._connection.get(path, missing_ok=True)
        if shown is None:
            return None
        field = self._server.extension_state_field
        state = flag(shown.get(field)) if isinstance(shown, dict) and field in shown else None
        if state is None:
            raise self._connection.refused(
                f"shows no readable {field!r} at {path}: correct `extension_state_path` and "
                "`extension_state_field`"
            )
        return state

    async def live_calls(self, tenant: str, extension: str) -> list[VodiaCall] | None:
        """An extension's calls in progress; None when the PBX has no such extension."""
        path = self._calls_of(tenant, extension)
        listed = await self._connection.get(path, missing_ok=True)
        if listed is None:
            return None
        if isinstance(listed, dict):
            listed = listed.get("calls", listed)
        if not isinstance(listed, list):
            raise self._connection.unexpected_json(path, listed)
        return [self._live(path, row) for row in listed]

    def _live(self, path: str, row: Json) -> VodiaCall:
        fields = row if isinstance(row, dict) else {"id": row}
        for name in _CALL_IDS:
            if isinstance(fields.get(name), str | int) and fields[name] != "":
                return VodiaCall(str(fields[name]), fields)
        raise self._connection.refused(
            f"lists live calls at {path} without an id that is known here"
        )

    async def hang_up(self, tenant: str, extension: str, call_id: str) -> None:
        """End one of an extension's calls."""
        await self._connection.write(self._calls_of(tenant, extension), {"hangup": call_id})

    def _calls_of(self, tenant: str, extension: str) -> str:
        return f"/rest/user/{_in_path(extension)}@{_in_path(tenant)}/calls"

    async def _list(self, path: str, params: dict[str, str] | None = None) -> list[Json]:
        got = await self._connection.get(path, params)
        if not isinstance(got, list):
            raise self._connection.unexpected_json(path, got)
        return got


def _trunk(row: dict[str, Json]) -> VodiaTrunk:
    return VodiaTrunk(
        id=str(row["id"]),
        name=str(row.get("name", "")),
        disabled=flag(row.get("disabled", "")),
        # A trunk that may carry other tenants' calls counts as shared.
        shared=flag(row.get("global", "")) is not False,
    )


def _in_path(text: str) -> str:
    return quote(text, safe="")

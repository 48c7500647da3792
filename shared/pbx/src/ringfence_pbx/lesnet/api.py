"""Les.net's API: the envelope of every call, and the one call that is documented, the balance.

Only this is public: JSON is posted to `<base>/<path>/` with `authentication` (`apikey`, `idkey`)
and `sequence` (Unix time) beside the call's own fields. An error answer has `status` "error",
`error` and `error_detail`.
"""

import asyncio
from decimal import Decimal
from typing import Any

from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput, Retry
from ringfence_pbx.decimal_json import read_json
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import (
    PbxClient,
    check_available,
    errors_as_retry,
    quoted,
    read_body,
)
from ringfence_pbx.servers import LesnetServer

MAX_ANSWER_BYTES = 1024 * 1024


class LesnetApi:
    """Calls to the API with the server entry's two keys. TLS is always verified.

    The constructor raises BadInput without keys. Calls raise Retry when the API or the network
    fails, and Refused when the API rejects a call; no message contains a key.
    """

    def __init__(self, server_id: str, server: LesnetServer, *, clock: Clock) -> None:
        if server.api_key is None or server.id_key is None:
            raise BadInput(f"{server_id}: api_key, id_key", "nothing", "both keys of the API")
        self.server_id = server_id
        self._timeout_s = server.timeout_s
        self._keys = {
            "apikey": server.api_key.read().get_secret_value(),
            "idkey": server.id_key.read().get_secret_value(),
        }
        self._clock = clock
        self._slots = asyncio.Semaphore(server.concurrency)
        self._base = server.url.rstrip("/")
        self._client = PbxClient(
            headers={"User-Agent": "ringfence/1", "Accept": "application/json"},
            timeout_s=server.timeout_s,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def balance(self) -> Decimal:
        """The balance of the account at Les.net, in its currency."""
        answer = await self.request("account/balance", {})
        value = answer.get("balance")
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise Retry(
                f"{self.server_id}: account/balance holds no number: {self._quoted(answer)}"
            )
        return Decimal(value)

    async def request(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The JSON object in the answer to a call; its decimals are Decimal."""
        envelope = {
            "authentication": self._keys,
            "sequence": int(self._clock.now().timestamp()),
        }
        status, body = await self._post(path, payload | envelope)
        answer = _object(body)
        if answer is not None and answer.get("status") == "error":
            reason = ": ".join(str(answer[k]) for k in ("error", "error_detail") if answer.get(k))
            raise Refused(f"{self.server_id}: Les.net refuses {path}: {self._quoted(reason)}")
        self._check_status(status, path)
        if answer is None:
            text = self._quoted(body.decode("utf-8", "replace"))
            raise Retry(f"{self.server_id}: {path} answered with {status} and no JSON: {text}")
        return answer

    async def _post(self, path: str, content: dict[str, Any]) -> tuple[int, bytes]:
        url = f"{self._base}/{path}/"
        limit = f"within {self._timeout_s:g} s"
        with errors_as_retry(self.server_id, limit, self._quoted):
            async with (
                self._slots,
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", url, json=content) as response,
            ):
                body = await read_body(response.aiter_bytes(), MAX_ANSWER_BYTES)
                if len(body) > MAX_ANSWER_BYTES:
                    raise Retry(f"{self.server_id}: the answer to {path} has no end")
                return response.status_code, body

    def _check_status(self, status: int, path: str) -> None:
        check_available(self.server_id, status, None, path=path)
        if status in (401, 403):
            raise Refused(f"{self.server_id}: status {status} on {path}: check api_key and id_key")
        if status >= 300:
            raise Refused(f"{self.server_id}: status {status} on {path}: check url and the path")

    def _quoted(self, text: object) -> str:
        """The beginning of a text of the API, without our keys if the API echoes them."""
        return quoted(str(text), *self._keys.values())


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = read_json(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

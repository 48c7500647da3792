"""Les.net's API: an envelope round every call, and one call that is known, the balance.

What is public of it: JSON is posted to `<base>/<path>/` with `authentication` (`apikey`, `idkey`)
and `sequence` (Unix time) beside the call's own fields; an error comes as `status` "error" with
`error` and `error_detail`.
"""

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx

from ringfence.clock import Clock
from ringfence_contracts.errors import BadInput, Retry, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import PbxClient
from ringfence_pbx.servers import LesnetServer

MAX_ANSWER_BYTES = 1024 * 1024


class LesnetApi:
    """Calls to the API with the server entry's two keys. TLS is always verified.

    Raises BadInput when there are no keys. Errors: Retry when the API or the way to it is unwell,
    Refused when it says no; no message holds a key.
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
        """What is left of the account at Les.net, in its currency."""
        answer = await self.ask("account/balance", {})
        value = answer.get("balance")
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise Retry(f"{self.server_id}: account/balance holds no number: {self._seen(answer)}")
        return Decimal(value)

    async def ask(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that a call answers; decimals are Decimal."""
        envelope = {
            "authentication": self._keys,
            "sequence": int(self._clock.now().timestamp()),
        }
        status, body = await self._post(path, payload | envelope)
        answer = _object(body)
        if answer is not None and answer.get("status") == "error":
            said = ": ".join(str(answer[k]) for k in ("error", "error_detail") if answer.get(k))
            raise Refused(f"{self.server_id}: Les.net refuses {path}: {self._seen(said)}")
        self._sound(status, path)
        if answer is None:
            text = self._seen(body.decode("utf-8", "replace"))
            raise Retry(f"{self.server_id}: {path} answered with {status} and no JSON: {text}")
        return answer

    async def _post(self, path: str, content: dict[str, Any]) -> tuple[int, bytes]:
        url = f"{self._base}/{path}/"
        try:
            async with (
                self._slots,
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", url, json=content) as response,
            ):
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise Retry(f"{self.server_id}: the answer to {path} has no end")
                return response.status_code, bytes(body)
        except (httpx.TimeoutException, TimeoutError):
            raise Retry(f"{self.server_id}: no answer within {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            what = f"{type(error).__name__} {self._seen(error)}"
            raise Retry(f"{self.server_id}: {what}") from None

    def _sound(self, status: int, path: str) -> None:
        if status >= 500 or status in (408, 425, 429):
            raise Retry(f"{self.server_id}: status {status} on {path}")
        if status in (401, 403):
            raise Refused(f"{self.server_id}: status {status} on {path}: check api_key and id_key")
        if status >= 300:
            raise Refused(f"{self.server_id}: status {status} on {path}: check url and the path")

    def _seen(self, said: object) -> str:
        """A piece of what was said, short, and without our keys should it echo them."""
        text = str(said)
        for key in self._keys.values():
            text = text.replace(key, "***")
        return shown(text.strip(), 200)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body.decode("utf-8"), parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError):
        return None
    return found if isinstance(found, dict) else None

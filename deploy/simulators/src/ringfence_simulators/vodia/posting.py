"""The "CDR URL": posts calls when they end, one body for each leg or for the whole call."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from ringfence_simulators.vodia.calls import SimulatedVodiaCall
from ringfence_simulators.vodia.model import SimulatedVodia

_SCHEMES = {"json": "http", "jsons": "https", "webcdr": "http", "webcdrs": "https"}


@dataclass(frozen=True)
class CdrTarget:
    """One of the space-separated URLs; `whole`: one body for the whole call."""

    whole: bool
    url: str
    auth: aiohttp.BasicAuth | None

    @classmethod
    def read(cls, written: str) -> "CdrTarget":
        """Parse `json://user:pass@host/path` and the like. Raises ValueError for other schemes."""
        parts = urlsplit(written)
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"{parts.scheme}: one of {', '.join(_SCHEMES)}")
        auth = aiohttp.BasicAuth(parts.username, parts.password or "") if parts.username else None
        host = parts.netloc.rpartition("@")[2]
        url = f"{_SCHEMES[parts.scheme]}://{host}{parts.path or '/'}"
        return cls(parts.scheme.startswith("webcdr"), url, auth)


class CdrPosting:
    """Posts each call once to each target, without retry: Vodia documents none."""

    def __init__(self, pbx: SimulatedVodia) -> None:
        self._pbx = pbx
        self.targets: list[CdrTarget] = []
        self.answers: list[int] = []

    def configure(self, cdr_url: str) -> None:
        """Set the "CDR URL": zero, one or more URLs, space-separated."""
        self.targets = [CdrTarget.read(written) for written in cdr_url.split()]

    async def post(self, call: SimulatedVodiaCall) -> None:
        """Post a call that has ended; in `answers`, 0 means that there was no response."""
        await self.post_bodies(call.legs(self._pbx.system), [call.webcdr(self._pbx.system)])

    async def post_bodies(
        self, legs: Sequence[dict[str, object]], whole: Sequence[dict[str, object]] = ()
    ) -> None:
        """Post legs, and to the targets that take whole calls `whole`."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http:
            for target in self.targets:
                for body in whole if target.whole else legs:
                    await self._post(http, target, body)

    async def _post(
        self, http: aiohttp.ClientSession, target: CdrTarget, body: dict[str, object]
    ) -> None:
        try:
            async with http.post(target.url, json=body, auth=target.auth) as answer:
                self.answers.append(answer.status)
        except (TimeoutError, aiohttp.ClientError):
            self.answers.append(0)

"""The state of the simulated Les.net: an account, its peers, and files of their calls."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

HEADER = "Date,Source,Destination,Duration"
LesnetCallSpec = dict[str, Any]
"""A call: `start` (Unix seconds), `caller`, `callee`, `seconds`."""


@dataclass
class Peer:
    """A peer: whether it may call, and its DIDs."""

    peer: str
    dids: list[str] = field(default_factory=list)
    enabled: bool = True


@dataclass
class ServedFile:
    """A file as it is served.

    Without `validators` the response has no ETag and Last-Modified; without `framed` no
    Content-Length. `login` is the required login, `user:password`; empty: none.
    """

    body: bytes
    modified_at: float
    validators: bool = True
    framed: bool = True
    login: str = ""

    @property
    def etag(self) -> str:
        """The ETag header."""
        return f'"{sha256(self.body).hexdigest()[:16]}"'

    @property
    def last_modified(self) -> str:
        """The Last-Modified header."""
        return format_datetime(datetime.fromtimestamp(int(self.modified_at), UTC), usegmt=True)


class Portal:
    """One account at Les.net. Calls are kept in `pending` until the day's files are written."""

    def __init__(
        self,
        *,
        api_key: str = "simulated-api-key",
        id_key: str = "simulated-id-key",
        zone: str = "America/Winnipeg",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.api_key = api_key
        self.id_key = id_key
        self.zone = ZoneInfo(zone)
        self.now = now
        self.latency_s = 0.0
        self.balance = Decimal("100.00")
        self.peers: dict[str, Peer] = {}
        self.files: dict[str, ServedFile] = {}
        self.written: dict[str, list[LesnetCallSpec]] = {}
        self.pending: dict[str, list[LesnetCallSpec]] = {}

    def add(self, seed: dict[str, Any]) -> None:
        """Add the `peers` (`peer`, `dids`), `calls` by path and `balance` of a seed."""
        for peer in seed.get("peers", []):
            self.peers[peer["peer"].upper()] = Peer(**{**peer, "peer": peer["peer"].upper()})
        for path, calls in seed.get("calls", {}).items():
            self.call(path, calls)
        self.balance = Decimal(str(seed.get("balance", self.balance)))

    def call(self, path: str, calls: Iterable[LesnetCallSpec]) -> None:
        """Record calls, which are in the next version of the file."""
        self.pending.setdefault(path, []).extend(calls)

    def write_files(self, *, rotate: bool = False) -> None:
        """Write the daily files, with all calls so far, or with `rotate` only the new ones."""
        for path in self.pending.keys() | self.written.keys():
            new = self.pending.pop(path, [])
            listed = new if rotate else [*self.written.get(path, []), *new]
            self.written[path] = listed
            self.put(path, self._text(listed))

    def put(self, path: str, body: bytes) -> ServedFile:
        """Serve this body at a path from now on."""
        before = self.files.get(path)
        after = ServedFile(body, self.now())
        self.files[path] = replace(before, body=body, modified_at=self.now()) if before else after
        return self.files[path]

    def _text(self, calls: Iterable[LesnetCallSpec]) -> bytes:
        rows = (
            ",".join((self._local(call["start"]), call["caller"], call["callee"],
                      str(call["seconds"])))
            for call in calls
        )  # fmt: skip
        return "\n".join((HEADER, *rows, "")).encode()

    def _local(self, start: float) -> str:
        return datetime.fromtimestamp(start, self.zone).strftime("%Y-%m-%d %H:%M:%S")

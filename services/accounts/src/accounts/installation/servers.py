"""The servers that products may name, from the servers file. No PBX is called here."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from ringfence_contracts.errors import BadInput
from ringfence_pbx.inventory_view import ServerKind
from ringfence_pbx.servers import load_servers


class KnownServer(NamedTuple):
    """A server, without secrets: `address` is scheme, host and port of its URL."""

    server_id: str
    kind: ServerKind
    address: str


class ServerList(NamedTuple):
    """The servers that exist; `warning` says why none is known if the file cannot be used."""

    servers: Sequence[KnownServer]
    warning: str = ""


class ServerDirectory(Protocol):
    """A source of the list of servers."""

    def read(self) -> ServerList:
        """The servers that are listed now."""
        ...


class ServersFile:
    """The servers file, read again after it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int] | None = None
        self._list = ServerList(())

    def read(self) -> ServerList:
        """The servers of the file; none, and a warning, while it cannot be used."""
        try:
            status = self._path.stat()
        except OSError as error:
            self._mark = None
            return ServerList((), f"the servers file {self._path} cannot be read: {error.strerror}")
        mark = (status.st_mtime_ns, status.st_size)
        if mark != self._mark:
            self._list, self._mark = self._load(), mark
        return self._list

    def _load(self) -> ServerList:
        try:
            found = load_servers(self._path).servers
        except (BadInput, OSError, UnicodeDecodeError) as error:
            return ServerList((), f"the servers file {self._path} cannot be used: {error}")
        return ServerList(
            tuple(
                KnownServer(server_id, server.kind, _address(server.url))
                for server_id, server in sorted(found.items())
            )
        )


def _address(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}"

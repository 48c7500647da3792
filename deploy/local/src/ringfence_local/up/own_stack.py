"""The product on one machine with the operator's own PBXs and mail server, without simulators."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ringfence.kafka.access.acls import CONSOLE
from ringfence.secret_files import SERVICES
from ringfence_local.stack import Stack
from ringfence_local.state import RunningStack, secret_file
from ringfence_pbx.servers import Servers

FOLDER = Path(".ringfence-up")
PUSH_PORT = 8070

WANTED_PORTS: Mapping[str, int] = {
    "kafka": 9092,
    "postgres": 5432,
    "accounts": 8080,
    "console": 8081,
    **{f"{service}-health": 9101 + n for n, service in enumerate((*SERVICES, CONSOLE))},
}
"""The default ports. A port in use is replaced by a free one, which is saved for the next start."""


class OwnStack(Stack):
    """Kafka, PostgreSQL, the six services and the console for a servers file of the operator.

    The file is read and never written. All other settings of the services come from the environment
    (RINGFENCE_*), as for services that are started one by one. `port` is the API's, `console_port`
    that of the web pages, `push_port` the one to which servers post calls: if one of them is in use
    the start fails, because other systems are configured with it. Without `port` or
    `console_port`, a free one is chosen and saved.
    """

    def __init__(
        self,
        folder: Path,
        servers_file: Path,
        servers: Servers,
        *,
        default_mode: str = "shadow",
        port: int | None = None,
        console_port: int | None = None,
        push_port: int = PUSH_PORT,
        wanted_ports: Mapping[str, int] = WANTED_PORTS,
        logins: Path | None = None,
    ) -> None:
        super().__init__(
            folder,
            logins=logins,
            console=True,
            environment={"RINGFENCE_CDR_INGEST_PUSH_PORT": str(push_port)}
            if servers.pushing
            else None,
        )
        self._servers_file = servers_file.absolute()
        self._default_mode = default_mode
        fixed = {"accounts": port, CONSOLE: console_port}
        self._fixed = {name: number for name, number in fixed.items() if number is not None}
        given = {"kafka": self.bootstrap, "postgres": self.dsn, **self._fixed}
        self._wanted = {name: n for name, n in wanted_ports.items() if not given.get(name)}

    @property
    def servers_file(self) -> Path:
        """The operator's file."""
        return self._servers_file

    @property
    def tokens_file(self) -> Path:
        """The file that the environment names, else one that is created at the first start."""
        named = os.environ.get("RINGFENCE_ACCOUNTS_TOKENS_FILE")
        return Path(named).absolute() if named else super().tokens_file

    @property
    def running(self) -> RunningStack:
        """The content of the stack file; there is no inbox."""
        return replace(super().running, inbox_folder="")

    async def _start_external_systems(self) -> None:
        """Start nothing: the external systems are the operator's."""
        self.ports.update(self._fixed)

    @property
    def _external_names(self) -> list[str]:
        return []

    @property
    def _client_pages(self) -> dict[str, str]:
        """The key of links to clients' pages, where their public address is set and no key is.

        Without that address there are no links: mails to clients must not lead to this machine.
        """
        given = [f"RINGFENCE_CLIENT_LINK_KEY{end}" for end in ("", "_FILE")]
        if not os.environ.get("RINGFENCE_CLIENT_PAGE_URL") or any(map(os.environ.get, given)):
            return {}
        key = secret_file(self.folder, "client-link-key").absolute()
        return {"RINGFENCE_CLIENT_LINK_KEY_FILE": str(key)}

    @property
    def _external_settings(self) -> dict[str, str]:
        return {"RINGFENCE_ACCOUNTS_DEFAULT_MODE": self._default_mode}

"""The receiver's door looked at from outside, with nothing posted: for `ringfence doctor`."""

from dataclasses import dataclass

import httpx

from cdr_ingest.receiver.formats import PushingServer
from cdr_ingest.receiver.listener import guard_of
from ringfence_contracts.errors import BadInput
from ringfence_doctor.finding import Finding, State

_TIMEOUT_S = 5.0
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names, not binds


@dataclass(frozen=True)
class Door:
    """Where the receiver is told to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 8070

    def url(self, server_id: str) -> str:
        """Where a server posts in JSON, as seen from this machine."""
        host = _ANYWHERE.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/cdr/{server_id}/json"


async def examine_door(server_id: str, server: PushingServer, door: Door) -> list[Finding]:
    """Whether the server's credentials are set, and whether the receiver answers here."""
    return [_credentials(server_id, server, door), await _answers(server_id, door)]


def _credentials(server_id: str, server: PushingServer, door: Door) -> Finding:
    try:
        guard = guard_of(server_id, server, door.host)
    except BadInput as error:
        do = "correct `push` in the servers file, or its secret; docs/push.md"
        return Finding(server_id, "push credentials", "fail", str(error), do)
    said = "user and password are set" if guard else "none are asked for, on this machine alone"
    return Finding(server_id, "push credentials", "ok", said)


async def _answers(server_id: str, door: Door) -> Finding:
    """By a GET where only posts are answered: the receiver says 405, and nobody else does."""

    def finding(state: State, said: str, do: str = "") -> Finding:
        return Finding(server_id, "receiver", state, said, do)

    where = f"{door.host}:{door.port}"
    if door.port == 0:
        do = "set RINGFENCE_CDR_INGEST_PUSH_PORT, so that servers know where to post"
        return finding("warn", "its port is any free one, told in the log", do)
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = await client.get(door.url(server_id))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        do = (
            "see that cdr-ingest runs here, and where RINGFENCE_CDR_INGEST_PUSH_HOST and _PORT lead"
        )
        return finding("warn", f"{where} does not answer here: {type(error).__name__}", do)
    if answer.status_code != httpx.codes.METHOD_NOT_ALLOWED:
        do = "see what listens there, and set RINGFENCE_CDR_INGEST_PUSH_PORT"
        return finding("warn", f"{where} answers with {answer.status_code}: not a receiver", do)
    return finding("ok", f"listens at {where}")

"""Checks the receiver of posted calls without posting anything."""

from dataclasses import dataclass

import httpx

from cdr_ingest.receiver.formats import PushingServer
from cdr_ingest.receiver.listener import guard_of
from ringfence_contracts.errors import BadInput
from ringfence_doctor.check_result import CheckResult, CheckState

_TIMEOUT_S = 5.0
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names, not binds


@dataclass(frozen=True)
class ReceiverAddress:
    """The configured address of the receiver; port 0 means any free port."""

    host: str = "127.0.0.1"
    port: int = 8070

    def url(self, server_id: str) -> str:
        """The URL to which a server posts in JSON, from this machine's point of view."""
        host = _ANYWHERE.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/cdr/{server_id}/json"


async def examine_receiver(
    server_id: str, server: PushingServer, receiver: ReceiverAddress
) -> list[CheckResult]:
    """Check that the server's credentials are set and that the receiver answers here."""
    return [_credentials(server_id, server, receiver), await _answers(server_id, receiver)]


def _credentials(server_id: str, server: PushingServer, receiver: ReceiverAddress) -> CheckResult:
    try:
        guard = guard_of(server_id, server, receiver.host)
    except BadInput as error:
        action = "correct `push` in the servers file, or its secret; docs/push.md"
        return CheckResult(server_id, "push credentials", "fail", str(error), action)
    message = "user and password are set" if guard else "none are asked for, on this machine alone"
    return CheckResult(server_id, "push credentials", "ok", message)


async def _answers(server_id: str, receiver: ReceiverAddress) -> CheckResult:
    """Send a GET to a URL that accepts only POST: the receiver replies with 405."""

    def finding(state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult(server_id, "receiver", state, message, action)

    where = f"{receiver.host}:{receiver.port}"
    if receiver.port == 0:
        action = "set RINGFENCE_CDR_INGEST_PUSH_PORT, so that servers know where to post"
        return finding("warn", "its port is any free one, which is in the log", action)
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = await client.get(receiver.url(server_id))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        action = (
            "see that cdr-ingest runs here, and where RINGFENCE_CDR_INGEST_PUSH_HOST and _PORT lead"
        )
        return finding("warn", f"{where} does not answer here: {type(error).__name__}", action)
    if answer.status_code != httpx.codes.METHOD_NOT_ALLOWED:
        action = "see what listens there, and set RINGFENCE_CDR_INGEST_PUSH_PORT"
        return finding("warn", f"{where} answers with {answer.status_code}: not a receiver", action)
    return finding("ok", f"listens at {where}")

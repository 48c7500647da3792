"""The alarms about the SMTP server: it is unreachable, or it refuses our login or sender."""

from datetime import datetime
from typing import Literal

from ringfence.postgres.alarms import Alarms
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.topics import NOTIFIER_ALARM

ServerProblem = Literal["unreachable", "login", "sender"]
"""A problem of the server, not of one mail."""

KEYS: dict[ServerProblem, str] = {
    "unreachable": "smtp-unreachable",
    "login": "smtp-login-refused",
    "sender": "smtp-sender-refused",
}
_PATIENCE = 3
"""Failures in a row before an unreachable server raises an alarm: a restart raises none."""

_WHAT_TO_DO: dict[ServerProblem, str] = {
    "unreachable": "See whether the server runs and is reached from here, and whether"
    " RINGFENCE_NOTIFIER_SMTP_HOST, _PORT and _TLS are right. Mails wait, and go out by"
    " themselves.",
    "login": "Correct RINGFENCE_NOTIFIER_SMTP_USER, _PASSWORD or _TLS and restart the notifier."
    " Mails wait, and go out by themselves.",
    "sender": "Allow the address at the server, or correct RINGFENCE_NOTIFIER_SENDER and restart"
    " the notifier. Mails wait, and go out by themselves.",
}
ALARMS = Alarms(NOTIFIER_ALARM, schema="notifier")


async def raise_server_alarm(
    connection: Connection,
    problem: ServerProblem,
    *,
    server: str,
    reason: str,
    failures: int,
    now: datetime,
) -> None:
    """Raise the alarm of `problem`, unless it is open or too few attempts have failed."""
    if problem == "unreachable" and failures < _PATIENCE:
        return
    text = AlarmText(
        message=f"No mail goes out: {_MESSAGES[problem].format(server=server)}: {reason}",
        what_to_do=_WHAT_TO_DO[problem],
        severity="critical",
    )
    await ALARMS.raise_alarm(connection, KEYS[problem], server, text, now)


_MESSAGES: dict[ServerProblem, str] = {
    "unreachable": "the SMTP server {server} cannot be reached",
    "login": "the SMTP server {server} refuses the login",
    "sender": "the SMTP server {server} refuses the sender's address",
}


async def end_server_alarms(connection: Connection, *, server: str, now: datetime) -> None:
    """End all alarms about the server: it accepts mail."""
    for key in KEYS.values():
        await ALARMS.end_alarm(connection, key, server, now)

"""Alarms to chat and SMS by apprise: short messages, and addresses that contain secrets."""

import asyncio
import hashlib
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from notifier.alarm_mail import AlarmState
from notifier.operator.webhooks import DeliveryResult
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.alarm import Alarm

_LISTED_AT_MOST = 5
_LONGEST_LINE = 300


class Chat(NamedTuple):
    """A channel. `name` is the kind of service and a digest of the address; it is not secret."""

    name: str
    notify: Any


def open_chats(urls: Sequence[str]) -> list[Chat]:
    """The channels of apprise addresses. Raises BadInput for one that apprise does not know."""
    if not urls:
        return []
    with warnings.catch_warnings():
        # apprise imports a standard library module that Python 3.13 removes, but does not need it.
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise  # takes 20 MB of memory, so it is imported only if a channel is configured

        # Its log lines can contain addresses. We log the result of each message ourselves.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        return [_opened(apprise.Apprise(), url, number) for number, url in enumerate(urls, 1)]


def _opened(channel: Any, url: str, number: int) -> Chat:
    scheme = url.partition("://")[0]
    if not channel.add(url):
        shown = scheme if scheme.isalnum() and len(scheme) < 20 else "…"
        raise BadInput(
            f"notifier_chat_urls, address {number}",
            f"{shown}://…",
            "an address that apprise knows, such as slack://token or twilio://…",
        )
    digest = hashlib.sha256(url.encode()).hexdigest()[:6]
    return Chat(f"{scheme}-{digest}", channel.notify)


async def notify(chat: Chat, body: str) -> DeliveryResult:
    """Send a message once; its first line is the title."""
    title, _, text = body.partition("\n")
    try:
        sent = await asyncio.to_thread(chat.notify, title=title, body=text or title)
    except Exception as error:
        return DeliveryResult(False, None, f"apprise: {type(error).__name__}")
    return DeliveryResult(
        bool(sent), None, "" if sent else "the service refused it or was not reached"
    )


def render_chat(alarms: Sequence[Alarm], state: AlarmState, names: Mapping[str, str]) -> str:
    """The message about alarms of one kind (at least one): a title, then a few lines.

    `names` are the clients' names by account id.
    """
    first = alarms[0]
    begins = "Alarm" if state == "raised" else "Ended"
    if len(alarms) == 1:
        name = names.get(first.account_id or "")
        who = f" ({name})" if name else ""
        about = "" if first.subject == first.key else f" {first.subject}"
        lines = [f"{begins}: {first.key}{about}{who}", first.message]
        if state == "raised":
            lines.append(f"What to do: {first.what_to_do}")
    else:
        lines = [f"{begins}: {first.key} ({len(alarms)} alarms)"]
        lines += [f"- {alarm.subject}: {alarm.message}" for alarm in alarms[:_LISTED_AT_MOST]]
        if len(alarms) > _LISTED_AT_MOST:
            lines.append(f"- and {len(alarms) - _LISTED_AT_MOST} more: see ringfence alarms")
    return "\n".join(_short(line) for line in lines)


def _short(line: str) -> str:
    clean = " ".join(line.split())
    return clean if len(clean) <= _LONGEST_LINE else f"{clean[: _LONGEST_LINE - 1]}…"

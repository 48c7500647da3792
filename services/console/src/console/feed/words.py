"""Events in words, for the live list. An event without words still renews what depends on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from console.web.formats import Formats, talk_time
from ringfence_contracts.events.alarm import Alarm
from ringfence_contracts.events.balance import BalanceLow, BalanceRestored, BalanceZero
from ringfence_contracts.events.call import CallRated, CallUnrated
from ringfence_contracts.events.notice import NoticeFailed, NoticeSent
from ringfence_contracts.events.payment import PaymentReceived
from ringfence_contracts.events.service import (
    ServiceRestored,
    ServiceSuspended,
    ServiceSuspensionFailed,
)
from ringfence_contracts.events.source import SourceFailed, SourceRecovered
from ringfence_contracts.topics import (
    ALL_TOPICS,
    BALANCE_LOW,
    BALANCE_RESTORED,
    BALANCE_ZERO,
    BY_NAME,
    CALL_RATED,
    CALL_UNRATED,
    NOTICE_FAILED,
    NOTICE_SENT,
    PAYMENT_RECEIVED,
    SERVICE_RESTORED,
    SERVICE_SUSPENDED,
    SERVICE_SUSPENSION_FAILED,
    SOURCE_FAILED,
    SOURCE_RECOVERED,
)

Tone = str
"""What an event is to the operator: plain, good, warn or bad. It sets a colour, never alone."""


@dataclass(frozen=True)
class Happening:
    """An event as a page shows it. `text` is empty where the event has no words of its own."""

    topic: str
    account_id: str
    at: datetime | None = None
    text: str = ""
    tone: Tone = "plain"
    link: str = ""


@dataclass(frozen=True)
class _Said:
    at: datetime
    text: str
    tone: Tone = "plain"
    link: str = ""


def happening_of(formats: Formats, topic: str, key: bytes | None, value: bytes | None) -> Happening:
    """An event in words, as far as it has any. Its key is the account for most topics."""
    account_id = (key or b"").decode("utf-8", "replace")
    known, say = BY_NAME.get(topic), _WORDS.get(topic)
    if known is None or value is None or say is None:
        return Happening(topic, account_id)
    try:
        data = known.data.model_validate_json(value)
    except (ValidationError, ValueError, RecursionError):
        return Happening(topic, account_id)
    news = say(data, formats)
    account_id = str(getattr(data, "account_id", None) or "")
    return Happening(topic, account_id, news.at, news.text, news.tone, news.link)


def _rated(call: CallRated, formats: Formats) -> _Said:
    at = call.answered_at or call.started_at
    if call.outcome != "rated":
        return _Said(at, f"{call.number}: not billed, {call.reason}", link=f"/calls/{call.call_id}")
    cost = formats.money(call.cost_micro, call.currency)
    words = f"{call.direction} {call.number}, {talk_time(call.billsec)}: {cost}"
    return _Said(at, words, link=f"/calls/{call.call_id}")


def _unrated(call: CallUnrated, formats: Formats) -> _Said:
    return _Said(call.started_at, f"a call waits for a price: {call.reason}", "warn", "/unrated")


def _low(event: BalanceLow, formats: Formats) -> _Said:
    return _Said(
        event.occurred_at, f"low: {formats.money(event.balance_micro, event.currency)} left", "warn"
    )


def _zero(event: BalanceZero, formats: Formats) -> _Said:
    left = formats.money(event.balance_micro, event.currency)
    return _Said(event.occurred_at, f"credit is used up: {left}", "bad")


def _restored(event: BalanceRestored, formats: Formats) -> _Said:
    has = formats.money(event.balance_micro, event.currency)
    return _Said(event.occurred_at, f"has credit again: {has}", "good")


def _off(event: ServiceSuspended, formats: Formats) -> _Said:
    proof = "read back" if event.proven else "accepted, cannot be read back"
    return _Said(event.confirmed_at, f"{event.service_id} is off ({proof})", "bad")


def _on(event: ServiceRestored, formats: Formats) -> _Said:
    return _Said(event.confirmed_at, f"{event.service_id} is on again", "good")


def _failed(event: ServiceSuspensionFailed, formats: Formats) -> _Said:
    wish = "off" if event.wanted == "suspended" else "on"
    return _Said(
        event.failed_at, f"{event.service_id} cannot be switched {wish}: {event.reason}", "bad"
    )


def _paid(event: PaymentReceived, formats: Formats) -> _Said:
    amount = formats.money(event.amount_micro, event.currency)
    return _Said(event.received_at, f"{event.kind} {amount} {event.reference}".strip(), "good")


def _mailed(event: NoticeSent, formats: Formats) -> _Said:
    return _Said(event.sent_at, f"mail “{event.template}” to {event.recipient}")


def _not_mailed(event: NoticeFailed, formats: Formats) -> _Said:
    return _Said(event.failed_at, f"mail “{event.template}” failed: {event.reason}", "bad")


def _alarm(event: Alarm, formats: Formats) -> _Said:
    if event.state == "ended":
        return _Said(event.ended_at or event.raised_at, f"over: {event.message}", "good")
    tone = "bad" if event.severity == "critical" else "warn"
    return _Said(event.raised_at, event.message, tone)


def _source_failed(event: SourceFailed, formats: Formats) -> _Said:
    return _Said(event.failed_at, f"{event.server_id} gives no call records: {event.reason}", "bad")


def _source_back(event: SourceRecovered, formats: Formats) -> _Said:
    return _Said(event.recovered_at, f"{event.server_id} gives call records again", "good")


_WORDS: Mapping[str, Callable[[Any, Formats], _Said]] = {
    CALL_RATED.name: _rated,
    CALL_UNRATED.name: _unrated,
    BALANCE_LOW.name: _low,
    BALANCE_ZERO.name: _zero,
    BALANCE_RESTORED.name: _restored,
    SERVICE_SUSPENDED.name: _off,
    SERVICE_RESTORED.name: _on,
    SERVICE_SUSPENSION_FAILED.name: _failed,
    PAYMENT_RECEIVED.name: _paid,
    NOTICE_SENT.name: _mailed,
    NOTICE_FAILED.name: _not_mailed,
    SOURCE_FAILED.name: _source_failed,
    SOURCE_RECOVERED.name: _source_back,
    **{topic.name: _alarm for topic in ALL_TOPICS if topic.data is Alarm},
}

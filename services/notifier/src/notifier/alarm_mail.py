"""The words of mails to the operator: one alarm, or those of one kind that wait together."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from notifier.template import Rendered, Template, render
from ringfence.events.alarm import Alarm

AlarmState = Literal["raised", "ended"]

ALARM_RAISED = "Alarm"
ALARM_ENDED = "Alarm Ended"
TEMPLATE_OF: dict[AlarmState, str] = {"raised": ALARM_RAISED, "ended": ALARM_ENDED}
"""They have no template files: their words are ours."""

LISTED_AT_MOST = 50
_SUBJECT_AT_MOST = 120


def kind_of(alarm: Alarm) -> str:
    """What alarms have in common that share a mail: `service/key`."""
    return f"{alarm.service}/{alarm.key}"


def alarm_words(alarms: Sequence[Alarm], count: int, state: AlarmState) -> Rendered:
    """The mail about `count` alarms of one kind that were raised, or ended.

    `alarms` are the first of them, at least one and at most LISTED_AT_MOST.
    """
    first = alarms[0]
    heading = "Alarm" if state == "raised" else "Ended"
    subject = f"{heading}: {_named(first) if count == 1 else f'{first.key} ({count} alarms)'}"
    body = _one(first) if count == 1 else _several(alarms, count, state)
    template = Template(TEMPLATE_OF[state], (_shortened(subject),), (body,), is_html=False)
    return render(template, {})


def _named(alarm: Alarm) -> str:
    return alarm.key if alarm.subject == alarm.key else f"{alarm.key} {alarm.subject}"


def _shortened(subject: str) -> str:
    if len(subject) <= _SUBJECT_AT_MOST:
        return subject
    return f"{subject[: _SUBJECT_AT_MOST - 1]}…"


def _one(alarm: Alarm) -> str:
    facts = [f"Since: {_written(alarm.raised_at)}"]
    if alarm.ended_at:
        facts.append(f"Ended: {_written(alarm.ended_at)}")
    if alarm.account_id:
        facts.append(f"Client: {alarm.account_id}")
    facts += [f"Severity: {alarm.severity}", f"Service: {alarm.service}"]
    return "\n".join([alarm.message, "", f"What to do: {alarm.what_to_do}", "", *facts, ""])


def _several(alarms: Sequence[Alarm], count: int, state: AlarmState) -> str:
    first = alarms[0]
    verb = "were raised" if state == "raised" else "ended"
    listed = [_listed(alarm) for alarm in alarms]
    if count > len(alarms):
        listed.append(f"- and {count - len(alarms)} more: see GET /v1/alarms")
    heading = f"{count} alarms {first.key} of the service {first.service} {verb}:"
    return "\n".join([heading, "", *listed, "", "The first of them:", "", _one(first)])


def _listed(alarm: Alarm) -> str:
    times = f"since {_written(alarm.raised_at)}"
    if alarm.ended_at:
        times += f", ended {_written(alarm.ended_at)}"
    client = f", client {alarm.account_id}" if alarm.account_id else ""
    return f"- {alarm.subject}: {times}{client}"


def _written(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

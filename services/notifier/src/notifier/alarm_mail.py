"""Mails to the operator about one alarm, or about several of one kind. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from notifier.form.layout import Layout
from notifier.form.operator_mail import facts, heading, items, operator_mail, paragraph, written
from notifier.template import Rendered
from ringfence_contracts.events.alarm import Alarm

AlarmState = Literal["raised", "ended"]

ALARM_RAISED = "Alarm"
ALARM_ENDED = "Alarm Ended"
TEMPLATE_OF: dict[AlarmState, str] = {"raised": ALARM_RAISED, "ended": ALARM_ENDED}
"""Their texts are part of the program: there are no template files for them."""

LISTED_AT_MOST = 50
_NOBODY: Mapping[str, str] = {}


def kind_of(alarm: Alarm) -> str:
    """The kind of an alarm, `service/key`; alarms of one kind share a mail."""
    return f"{alarm.service}/{alarm.key}"


def render_alarms(
    alarms: Sequence[Alarm],
    count: int,
    state: AlarmState,
    *,
    names: Mapping[str, str] = _NOBODY,
    layout: Layout | None = None,
    zone: str = "UTC",
) -> Rendered:
    """The mail about `count` alarms of one kind that were raised, or ended.

    `alarms` are the first of them, at least one and at most LISTED_AT_MOST. `names` are the
    clients' names by account id; `zone` is the operator's time zone.
    """
    first, reader = alarms[0], _Reader(names, zone)
    begins = "Alarm" if state == "raised" else "Ended"
    about = reader.named(first) if count == 1 else f"{first.key} ({count} alarms)"
    parts = reader.one(first) if count == 1 else reader.several(alarms, count, state)
    subject = f"{begins}: {about}"
    return operator_mail(layout or Layout(), subject, heading(subject), *parts)


class _Reader:
    """Describes alarms for one reader, with clients' names and times in the reader's zone."""

    def __init__(self, names: Mapping[str, str], zone: str) -> None:
        self._names = names
        self._zone = zone

    def named(self, alarm: Alarm) -> str:
        return alarm.key if alarm.subject == alarm.key else f"{alarm.key} {alarm.subject}"

    def client(self, account_id: str) -> str:
        name = self._names.get(account_id)
        return f"{name} ({account_id})" if name else account_id

    def one(self, alarm: Alarm) -> list[str]:
        rows = [("Since", written(alarm.raised_at, self._zone))]
        if alarm.ended_at:
            rows.append(("Ended", written(alarm.ended_at, self._zone)))
        if alarm.account_id:
            rows.append(("Client", self.client(alarm.account_id)))
        rows += [("Severity", alarm.severity), ("Service", alarm.service)]
        return [
            paragraph(alarm.message),
            paragraph(f"What to do: {alarm.what_to_do}"),
            facts(rows),
        ]

    def several(self, alarms: Sequence[Alarm], count: int, state: AlarmState) -> list[str]:
        first = alarms[0]
        verb = "were raised" if state == "raised" else "ended"
        listed = [self._listed(alarm) for alarm in alarms]
        if count > len(alarms):
            listed.append(f"and {count - len(alarms)} more: `ringfence alarms` lists them")
        return [
            paragraph(f"{count} alarms {first.key} of the service {first.service} {verb}:"),
            items(listed),
            paragraph("The first of them:"),
            *self.one(first),
        ]

    def _listed(self, alarm: Alarm) -> str:
        times = f"since {written(alarm.raised_at, self._zone)}"
        if alarm.ended_at:
            times += f", ended {written(alarm.ended_at, self._zone)}"
        client = f", client {self.client(alarm.account_id)}" if alarm.account_id else ""
        return f"{alarm.subject}: {times}{client}"

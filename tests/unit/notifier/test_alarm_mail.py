"""The mail about one alarm, or about several of one kind."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from notifier.alarm_mail import LISTED_AT_MOST, render_alarms
from notifier.form.layout import Layout
from ringfence_contracts.events.alarm import Alarm

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def alarm(subject: str = "acme/s-1", **changes: object) -> Alarm:
    facts: dict[str, object] = {
        "alarm_id": UUID(int=1),
        "service": "suspender",
        "key": "suspension-failed",
        "subject": subject,
        "severity": "critical",
        "state": "raised",
        "message": "Product s-1 could not be switched off: timed <out>",
        "what_to_do": "See why the PBX refuses.",
        "account_id": "acme",
        "raised_at": NOON,
    }
    return Alarm.model_validate(facts | changes)


def test_one_alarm_has_message_action_time_and_client() -> None:
    words = render_alarms([alarm()], 1, "raised")
    assert words.subject == "Alarm: suspension-failed acme/s-1"
    assert words.text == (
        "Alarm: suspension-failed acme/s-1\n\n"
        "Product s-1 could not be switched off: timed <out>\n\n"
        "What to do: See why the PBX refuses.\n\n"
        "Since: 2026-01-15 12:00:00 UTC\n"
        "Client: acme\n"
        "Severity: critical\n"
        "Service: suspender\n\n"
        "-- \n"
        "This message is for the operator of ringfence.\n"
    )
    assert "timed &lt;out&gt;" in words.html


def test_the_client_is_named_and_the_time_is_the_operators() -> None:
    layout = Layout(company="Maple Voice", logo_url="https://example.net/logo.png")
    names = {"acme": "Ada <b> Moreau"}
    words = render_alarms(
        [alarm()], 1, "raised", names=names, layout=layout, zone="America/Toronto"
    )
    assert "Client: Ada <b> Moreau (acme)\n" in words.text
    assert "Since: 2026-01-15 07:00:00 EST\n" in words.text
    assert "-- \nMaple Voice\n" in words.text
    assert "Ada &lt;b&gt; Moreau (acme)" in words.html
    assert '<img src="https://example.net/logo.png" alt="Maple Voice"' in words.html
    several = render_alarms([alarm(), alarm("acme/s-2")], 2, "raised", names=names)
    assert "client Ada <b> Moreau (acme)" in several.text


def test_an_alarm_without_a_client_names_none_and_its_subject_once() -> None:
    words = render_alarms([alarm("brake", key="brake", account_id=None)], 1, "raised")
    assert words.subject == "Alarm: brake"
    assert "Client" not in words.text


def test_the_end_of_an_alarm_is_a_mail_that_says_when() -> None:
    words = render_alarms([alarm(ended_at=NOON + timedelta(minutes=5))], 1, "ended")
    assert words.subject == "Ended: suspension-failed acme/s-1"
    assert "Ended: 2026-01-15 12:05:00 UTC" in words.text


def test_several_alarms_are_counted_and_at_most_fifty_are_listed() -> None:
    listed = [alarm(f"c{number}/s") for number in range(LISTED_AT_MOST)]
    words = render_alarms(listed, 73, "raised")
    assert words.subject == "Alarm: suspension-failed (73 alarms)"
    assert words.text.count("\n- c") == 50
    assert "- and 23 more: `ringfence alarms` lists them" in words.text
    assert "What to do: See why the PBX refuses." in words.text
    assert "more" not in render_alarms(listed[:2], 2, "raised").text


def test_a_long_subject_is_shortened_and_complete_in_the_list() -> None:
    long = "x" * 500
    words = render_alarms([alarm(long), alarm("y")], 2, "raised")
    assert long in words.text
    cut = render_alarms([alarm(long)], 1, "raised").subject
    assert (len(cut), cut[-2:]) == (120, "x…")


@given(subject=st.text(max_size=1000).filter(lambda text: "\x00" not in text))
def test_the_subject_of_any_alarm_is_one_short_line(subject: str) -> None:
    words = render_alarms([alarm(subject)], 1, "raised")
    assert words.subject.isprintable()
    assert len(words.subject) <= 120

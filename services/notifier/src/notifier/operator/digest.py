"""The daily digest: one mail to the operator about the last day. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from notifier.form.layout import Layout
from notifier.form.operator_mail import (
    facts,
    heading,
    items,
    operator_mail,
    paragraph,
    section,
    written,
)
from notifier.template import Rendered
from notifier.words.amounts import date_shown, locale_of, money, zone_of

DAILY_DIGEST = "Daily Digest"
LISTED_AT_MOST = 20
LATE_AT_MOST = timedelta(hours=12)
"""A digest that would be later than this is skipped: the next one is nearer."""


@dataclass(frozen=True)
class ClientLine:
    """A client in a list, with the current balance."""

    account_id: str
    name: str
    balance_micro: int
    currency: str


@dataclass(frozen=True)
class ClientList:
    """The first clients of a list, at most LISTED_AT_MOST, and the number of all."""

    count: int = 0
    clients: Sequence[ClientLine] = ()


@dataclass(frozen=True)
class Turnover:
    """The day's amounts of one currency, in micro-units: top-ups, charges and corrections."""

    currency: str
    in_micro: int = 0
    charged_micro: int = 0
    calls: int = 0
    corrected_micro: int = 0


@dataclass(frozen=True)
class DigestFacts:
    """The current state, and what happened between `since` and `until`.

    `mails` counts mails by state. `failures` describes the newest failed and in-doubt mails.
    `alarms` describes the open alarms, newest first. Both have at most LISTED_AT_MOST entries.
    """

    since: datetime
    until: datetime
    off: ClientList = ClientList()
    failing: int = 0
    low: ClientList = ClientList()
    would_be_off: int = 0
    unrated: int = 0
    unrated_s: int = 0
    unrated_since: datetime | None = None
    dead: int = 0
    drift: int = 0
    drift_given_up: int = 0
    mails: Mapping[str, int] = field(default_factory=dict)
    failures: Sequence[str] = ()
    deliveries_failed: int = 0
    turnover: Sequence[Turnover] = ()
    alarm_count: int = 0
    alarms: Sequence[str] = ()


def due_day(now: datetime, at: time, zone: str) -> tuple[date, datetime] | None:
    """The local day whose digest is due at `now`, and when it became due; None if none is due."""
    local = now.astimezone(zone_of(zone))
    for day in (local.date(), local.date() - timedelta(days=1)):
        due_at = datetime.combine(day, at, tzinfo=zone_of(zone))
        if due_at <= now < due_at + LATE_AT_MOST:
            return day, due_at
    return None


def digest_mail(digest: DigestFacts, layout: Layout, *, zone: str, language: str) -> Rendered:
    """The digest, with times in the operator's `zone` and amounts formatted for `language`."""
    title = f"Daily digest, {date_shown(digest.until, locale_of('en'), zone)}"
    subject = f"{title}: {_in_short(digest)}"
    return operator_mail(
        layout,
        subject,
        heading(title),
        paragraph(f"From {written(digest.since, zone)} to {written(digest.until, zone)}."),
        *_attention(digest, zone),
        *_clients("Switched off now", digest.off, language),
        *_in_shadow(digest.would_be_off),
        *_clients("Low now", digest.low, language),
        *_money(digest.turnover, language),
        section("Mails"),
        facts([(state.capitalize(), str(digest.mails.get(state, 0))) for state in _MAIL_STATES]),
        *([items(digest.failures)] if digest.failures else []),
    )


_MAIL_STATES = ("sent", "waiting", "failed", "in doubt", "dropped")


def _in_short(digest: DigestFacts) -> str:
    parts = [f"{digest.off.count} off", f"{digest.low.count} low"]
    if digest.alarm_count:
        parts.append(f"{digest.alarm_count} alarm{'s' if digest.alarm_count > 1 else ''}")
    if digest.unrated:
        parts.append(f"{digest.unrated} unrated")
    return ", ".join(parts)


def _attention(digest: DigestFacts, zone: str) -> list[str]:
    """The section of what needs the operator; each line names a command or page for details."""
    rows = [
        ("Alarms open", digest.alarm_count, "ringfence alarms"),
        ("Services that could not be switched", digest.failing, "ringfence services"),
        ("Unrated calls", digest.unrated, _unrated_words(digest, zone)),
        ("Dead calls", digest.dead, "records that cannot be rated; ringfence verify"),
        ("Switched on by somebody, though held", digest.drift, _drift_words(digest)),
        ("Mails failed or in doubt", _mail_trouble(digest), "ringfence mails"),
        ("Webhook or chat deliveries failed", digest.deliveries_failed, "ringfence webhooks log"),
    ]
    counted = [(name, f"{count} ({where})") for name, count, where in rows if count]
    if not counted:
        return [paragraph("Nothing needs you: no alarms, no unrated calls, no failed mails.")]
    parts = [section("Needs you"), facts(counted)]
    return [*parts, items(digest.alarms)] if digest.alarms else parts


def _mail_trouble(digest: DigestFacts) -> int:
    return digest.mails.get("failed", 0) + digest.mails.get("in doubt", 0)


def _unrated_words(digest: DigestFacts, zone: str) -> str:
    since = (
        f", the oldest since {written(digest.unrated_since, zone)}" if digest.unrated_since else ""
    )
    minutes = -(-digest.unrated_s // 60)
    return f"{minutes} minutes of talk{since}; ringfence unrated"


def _drift_words(digest: DigestFacts) -> str:
    given_up = f"{digest.drift_given_up} given up" if digest.drift_given_up else "being repaired"
    return f"{given_up}; ringfence server compare"


def _clients(title: str, listed: ClientList, language: str) -> list[str]:
    if not listed.count:
        return [section(f"{title}: nobody")]
    lines = [
        f"{client.name or client.account_id} ({client.account_id}): "
        + money(client.balance_micro, client.currency, locale_of(language, client.currency))
        for client in listed.clients
    ]
    if listed.count > len(lines):
        lines.append(f"and {listed.count - len(lines)} more: see ringfence client list")
    return [section(f"{title}: {listed.count}"), items(lines)]


def _in_shadow(would_be_off: int) -> list[str]:
    """The clients that are on only because they are in shadow mode."""
    if not would_be_off:
        return []
    are = "1 client" if would_be_off == 1 else f"{would_be_off} clients"
    return [paragraph(f"In shadow mode, {are} would be off: see ringfence mode.")]


def _money(turnover: Sequence[Turnover], language: str) -> list[str]:
    if not turnover:
        return [section("Money: nothing was posted")]
    parts = []
    for of in turnover:
        locale = locale_of(language, of.currency)
        rows = [
            ("Money in", money(of.in_micro, of.currency, locale)),
            ("Charged", f"{money(of.charged_micro, of.currency, locale)} for {of.calls} calls"),
        ]
        if of.corrected_micro:
            corrected = money(of.corrected_micro, of.currency, locale)
            rows.append(("Adjustments and reversals", corrected))
        parts += [section(f"Money ({of.currency})"), facts(rows)]
    return parts

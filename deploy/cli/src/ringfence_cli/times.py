"""Instants as operators read and type them: in this machine's zone, or with `--utc` in UTC."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar

import click

from ringfence_cli.connection import fail

F = TypeVar("F", bound=Callable[..., Any])
_META = "ringfence_cli.times.utc"
_IN_UTC = re.compile(r"\b(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}) UTC\b", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_META] = True


utc_option: Callable[[F], F] = click.option(
    "--utc",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Show times in UTC, not in this machine's zone.",
)


def _zone() -> tzinfo | None:
    """UTC with `--utc`; None, which `astimezone` takes as this machine's zone, without."""
    context = click.get_current_context(silent=True)
    return UTC if context is not None and context.meta.get(_META) else None


def zone_name() -> str:
    """The zone in which instants are shown, such as `UTC` or `EST/EDT`."""
    return "UTC" if _zone() else "/".join(dict.fromkeys(time.tzname))


def cell(text: str | None, *, seconds: bool = False) -> str:
    """An instant as a table shows it; the year only if it is not this year."""
    if not text:
        return ""
    instant = datetime.fromisoformat(text).astimezone(_zone())
    year = "" if instant.year == datetime.now(_zone()).year else f"{instant.year:04d}-"
    return f"{year}{instant:%m-%d %H:%M}" + (f":{instant:%S}" if seconds else "")


def sentence(text: str | None) -> str:
    """An instant with year and zone, as it is shown outside a table."""
    if not text:
        return ""
    instant = datetime.fromisoformat(text).astimezone(_zone())
    return f"{instant:%Y-%m-%d %H:%M:%S %Z}"


def in_shown_zone(text: str) -> str:
    """A sentence of the API with its instants, `2026-12-01 05:00 UTC`, in the shown zone."""
    return _IN_UTC.sub(_moved, text)


def _moved(found: re.Match[str]) -> str:
    try:
        instant = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").astimezone(_zone())
    except (ValueError, OverflowError):
        return found[0]
    return f"{instant:%Y-%m-%d %H:%M %Z}"


def parse_instant(option: str, text: str | None, *, days: bool = False) -> str | None:
    """The text typed for `option` as the ISO 8601 instant that the API takes; None for None.

    An instant without a zone is in the zone in which instants are shown. With `days`, a date stays
    a date: the API knows the client's zone. Ends the command with 2 for other text.
    """
    if text is None:
        return None
    if days and _DAY.fullmatch(text.strip()):
        return text.strip()
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        expected = "a date such as 2026-12-01 or " if days else ""
        fail(f"{option} {text!r}: write {expected}an instant such as 2026-12-01T17:00")
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC) if _zone() else found.astimezone()
    return found.isoformat()

"""`ringfence account`: a balance with the entries that it consists of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from ringfence_cli import times
from ringfence_cli.connection import ApiClient, api_client, path_of
from ringfence_cli.tables import (
    field,
    instant,
    limit_option,
    output_options,
    plural,
    print_json,
    print_sentence,
    short_id,
    show_rows,
)
from ringfence_contracts.money import format_micro

_KINDS = ("charge", "top-up", "adjustment", "reversal")
_MOST_IN_PAGE = 500
_COLUMNS = (
    instant("posted", "posted_at"),
    field("kind"),
    field("what"),
    field("amount"),
    field("balance"),
    short_id("entry", "entry_id"),
)


@click.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--since", help="Posted from this day or instant on, such as 2026-12-01.")
@click.option("--until", help="Posted before this day or instant.")
@click.option("--kind", type=click.Choice(_KINDS), help="Show only these; the sums count all.")
@limit_option(50)
@output_options
def account(
    account_id: str,
    since: str | None,
    until: str | None,
    kind: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show how ACCOUNT's balance came about.

    Opening, entries, closing, and whether they add up; exit 1 if they do not. `ringfence explain`
    takes an entry's digits. Example: ringfence account acme-1001 --since 2026-11-01
    """
    found = _read(
        api_client(),
        path_of("clients", account_id, "statement"),
        limit,
        since=times.parse_instant("--since", since),
        until=times.parse_instant("--until", until),
        kind=kind,
    )
    if as_json:
        print_json({name: value for name, value in found.items() if name != "next"})
    else:
        _show(found, kind)
    if found["differs"]:
        raise SystemExit(1)


def _read(api: ApiClient, path: str, limit: int, **asked: str | None) -> Mapping[str, Any]:
    """The statement with the `limit` newest entries; its sums are those of the first page."""
    found = api.get(path, limit=min(limit, _MOST_IN_PAGE), **asked)
    entries, cursor = found["entries"], found["next"]
    while cursor is not None and len(entries) < limit:
        wanted = min(limit - len(entries), _MOST_IN_PAGE)
        page = api.get(path, limit=wanted, cursor=cursor, **asked)
        entries, cursor = page["entries"] + entries, page["next"]
    return {**found, "entries": entries, "next": cursor}


def _show(found: Mapping[str, Any], kind: str | None) -> None:
    show_rows(_rows(found, kind), _COLUMNS, as_json=False, empty="")
    shown, in_range = len(found["entries"]), found["entries_in_range"]
    count = plural(in_range, "entry")
    if shown < in_range:
        count = f"{shown:,} of {count}"
    if found["next"]:
        count += "; --limit shows more"
    outcome = f"They add up. Balance now: {found['balance']} {found['currency']}."
    if found["differs"]:
        outcome = f"They do not add up: {found['differs']}."
    print_sentence(f"{count}. {outcome}")


def _rows(found: Mapping[str, Any], kind: str | None) -> Iterator[Mapping[str, Any]]:
    """The rows of the table: its column of amounts adds up to the closing balance."""
    yield {"kind": "opening", "balance": found["opening"]}
    yield from _left_out(found, kind)
    yield from found["entries"]
    yield {"kind": "closing", "amount": found["sum"], "balance": found["closing"]}


def _left_out(found: Mapping[str, Any], kind: str | None) -> Iterator[Mapping[str, Any]]:
    """The entries that are not shown, as one row; those of other kinds may be between the shown."""
    entries: Sequence[Mapping[str, Any]] = found["entries"]
    number = found["entries_in_range"] - len(entries)
    if not number:
        return
    micro = found["sum_micro"] - sum(entry["amount_micro"] for entry in entries)
    row = {"kind": "…", "amount": format_micro(micro)}
    if kind is None:
        balance = format_micro(found["opening_micro"] + micro)
        yield {**row, "what": f"{plural(number, 'earlier entry')}, together", "balance": balance}
    else:
        yield {**row, "what": f"{plural(number, 'entry')} not shown, together"}

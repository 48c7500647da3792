"""`ringfence account`: a balance with the entries that it consists of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from ringfence_cli import times
from ringfence_cli.connection import ApiClient, api_client, path_of
from ringfence_cli.grid import GridColumn, print_grid
from ringfence_cli.tables import limit_option, output_options, plural, print_json, print_sentence
from ringfence_contracts.money import format_micro

_KINDS = ("charge", "top-up", "adjustment", "reversal")
_MOST_IN_PAGE = 500
_COLUMNS = (
    GridColumn("posted"),
    GridColumn("kind"),
    GridColumn("what"),
    GridColumn("amount", right=True),
    GridColumn("balance", right=True),
    GridColumn("entry"),
)
_Row = tuple[str, str, str, str, str, str]


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
    print_grid(_COLUMNS, list(_rows(found, kind)), folds="what")
    shown, in_range = len(found["entries"]), found["entries_in_range"]
    count = plural(in_range, "entry")
    if shown < in_range:
        more = "; --limit shows more" if found["next"] else ""
        count = f"{shown} of {count}{more}"
    click.echo(f"{count}. Times are in {times.zone_name()}.")
    if found["differs"]:
        print_sentence(f"They do not add up: {found['differs']}.")
    else:
        click.echo(f"They add up. Balance now: {found['balance']} {found['currency']}.")


def _rows(found: Mapping[str, Any], kind: str | None) -> Iterator[_Row]:
    """The rows of the table: its column of amounts adds up to the closing balance."""
    yield "", "opening", "", "", found["opening"], ""
    yield from _left_out(found, kind)
    for entry in found["entries"]:
        yield (
            times.cell(entry["posted_at"]),
            entry["kind"],
            entry["what"],
            entry["amount"],
            entry["balance"],
            entry["entry_id"][:8],
        )
    yield "", "closing", "", found["sum"], found["closing"], ""


def _left_out(found: Mapping[str, Any], kind: str | None) -> Iterator[_Row]:
    """The entries that are not shown, as one row; those of other kinds may be between the shown."""
    entries: Sequence[Mapping[str, Any]] = found["entries"]
    number = found["entries_in_range"] - len(entries)
    if not number:
        return
    micro = found["sum_micro"] - sum(entry["amount_micro"] for entry in entries)
    if kind is None:
        balance = format_micro(found["opening_micro"] + micro)
        what = f"{plural(number, 'earlier entry')}, together"
        yield "", "…", what, format_micro(micro), balance, ""
    else:
        what = f"{plural(number, 'entry')} not shown, together"
        yield "", "…", what, format_micro(micro), "", ""

"""Prints differences of tariff versions; `ringfence tariff diff` and `tariff rollback`."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ringfence_cli.connection import api_client, fail, path_of
from ringfence_cli.tables import (
    field,
    limit_option,
    output_options,
    print_json,
    print_sentence,
    show_facts,
    show_rows,
    show_warnings,
)
from ringfence_cli.times import parse_instant, sentence

KINDS = ("added", "removed", "dearer", "cheaper", "changed")
_SHOWN = ("tariff_id", "version_id", "name", "currency", "effective_from", "rows", "restores")

dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would change, no more.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
largest_option = click.option(
    "--largest",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    help="How many of the largest changes of each kind are shown.",
)


def show_diff(diff: Mapping[str, Any]) -> None:
    """Print the counts of a comparison, and then its largest changes."""
    columns = tuple(field(kind) for kind in (*KINDS, "same"))
    show_rows([diff["counts"]], columns, as_json=False, empty="")
    touched = [f"{what} of {count}" for what, count in diff["touched"].items() if count]
    if touched:
        click.echo(f"Among the prefixes of both: another {', another '.join(touched)}.")
    _show_changes(diff["largest"])


def _show_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    columns = (
        ("change", lambda row: row["kind"]),
        field("prefix"),
        ("description", lambda row: _moved(row, "description")),
        ("rate", lambda row: _moved(row, "rate")),
        ("increment", lambda row: _moved(row, "increment")),
        ("status", lambda row: _moved(row, "status")),
    )
    show_rows(changes, columns, as_json=False, empty="No row differs.")


def _moved(change: Mapping[str, Any], what: str) -> str:
    before, after = change["before"], change["after"]
    if before is None or after is None or before[what] == after[what]:
        return str((after or before)[what])
    return f"{before[what]} → {after[what]}"


def show_version(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a new version, or the existing one with the same rows."""
    if as_json:
        print_json(answer)
        return
    if not answer["new"]:
        click.echo("Nothing to do: these rows are in force from then on already.")
    shown = {name: answer[name] for name in _SHOWN if answer[name] is not None}
    show_facts(shown, as_json=False)
    if answer["dry_run"]:
        click.echo("Nothing was written: this was --dry-run.")
    elif answer["new"]:
        print_sentence(
            f"{answer['tariff_id']}: calls from {sentence(answer['effective_from'])} on are"
            f" rated by version {answer['version_id']}; `ringfence tariff rollback` undoes it"
        )


def confirm(answer: Mapping[str, Any]) -> None:
    """Ask for confirmation of the version as shown. Ends the command with 1 if it is denied."""
    base = answer["diff"]["base"]
    compared = f"version {base}" if base else "no earlier version"
    click.echo(
        f"{answer['rows']} rows for {answer['tariff_id']}, compared with {compared}; effective "
        f"from {sentence(answer['effective_from'])}.",
        err=True,
    )
    show_warnings(answer)
    click.confirm("Make this version?", abort=True, err=True)


def confirmed(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a person confirmed: the API refuses the version if its base is another by then."""
    return {"base": answer["diff"]["base"] or 0}


def check_quiet(as_json: bool, decided: bool) -> None:
    """Refuse `--json` where a confirmation would be needed."""
    if as_json and not decided:
        fail("with --json nothing is asked: add --yes, or --dry-run")


@click.command("diff")
@click.argument("tariff_id")
@click.argument("old", type=click.IntRange(1))
@click.argument("new", type=click.IntRange(1))
@largest_option
@click.option("--kind", type=click.Choice(KINDS), help="list every change of this kind, by prefix")
@limit_option(100)
@output_options
def diff(
    tariff_id: str, old: int, new: int, largest: int, kind: str | None, limit: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Show how version NEW of a tariff differs from version OLD.

    Example: ringfence tariff diff retail 3 4
    """
    api = api_client()
    if kind:
        path = path_of("tariffs", tariff_id, "changes")
        changes = list(api.pages(path, limit, old=old, new=new, kind=kind))
        if as_json:
            print_json(changes)
        else:
            _show_changes(changes)
        return
    found = api.get(path_of("tariffs", tariff_id, "diff"), old=old, new=new, largest=largest)
    if as_json:
        print_json(found)
    else:
        show_diff(found)


@click.command("rollback")
@click.argument("tariff_id")
@click.option("--to", type=click.IntRange(1), help="a version; left out: the one before")
@click.option("--effective-from", help="such as 2026-12-01T00:00; left out: now")
@dry_run_option
@yes_option
@largest_option
@output_options
def rollback(
    tariff_id: str, to: int | None, effective_from: str | None, dry_run: bool, yes: bool,
    largest: int, as_json: bool,
) -> None:  # fmt: skip
    """Make a new version with the rows of an older one.

    Example: ringfence tariff rollback retail --to 3
    """
    check_quiet(as_json, yes or dry_run)
    api = api_client()
    path = path_of("tariffs", tariff_id, "rollback")
    body = {
        "effective_from": parse_instant("--effective-from", effective_from),
        "to": to,
        "largest": largest,
    }
    answer = api.send("POST", path, json={**body, "dry_run": dry_run or not yes})
    if not as_json:
        show_diff(answer["diff"])
    if not (yes or dry_run) and answer["new"]:
        confirm(answer)
        agreed = {**body, "to": answer["restores"], **confirmed(answer)}
        answer = api.send("POST", path, json=agreed)
    elif not as_json:
        show_warnings(answer)
    show_version(answer, as_json=as_json)

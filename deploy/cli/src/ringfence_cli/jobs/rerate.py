"""`ringfence rerate`: a period's calls by another version of their tariff."""

from collections.abc import Mapping
from typing import Any

import click

from ringfence_cli.connection import ApiClient, api_client, given, path_of
from ringfence_cli.jobs.awaiting import no_wait_option, request_job, result_of, show_requested
from ringfence_cli.jobs.short_ids import full_id
from ringfence_cli.tables import (
    TableRow,
    field,
    moment,
    output_options,
    plural,
    print_json,
    print_sentence,
    show_rows,
    titled,
)
from ringfence_contracts.money import format_micro

_STATES = {
    "interrupted": "cut short: --apply again",
    "undo interrupted": "undo cut short: --undo again",
}


@click.command()
@click.option("--tariff", help="The tariff by which the calls were charged.")
@click.option("--version", type=int, help="The version of it to price them by.")
@click.option(
    "--from", "from_text", help="Calls answered from this day or instant on, such as 2026-11-01."
)
@click.option("--to", "to_text", help="… and before this one. The client's zone counts.")
@click.option("--account", help="Only this client.")
@click.option("--dry-run", "mode", flag_value="dry-run", default=True, help="Show it (default).")
@click.option("--apply", "mode", flag_value="apply", help="Reverse the charges and charge again.")
@click.option("--undo", "run", metavar="RUN", help="Put a run's charges back.")
@click.option("--list", "mode", flag_value="list", help="Show all runs.")
@no_wait_option
@output_options
def rerate(
    tariff: str | None,
    version: int | None,
    from_text: str | None,
    to_text: str | None,
    account: str | None,
    mode: str,
    run: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Price a period's calls by another tariff version.

    No entry is changed: each charge that differs is reversed, and the call is charged again. An
    --apply that was interrupted is completed by giving the same command again.

    Example: ringfence rerate --tariff north --version 2 --from 2026-11-01 --to 2026-12-01
    """
    api = api_client()
    if mode == "list":
        _list(api, as_json=as_json)
        return
    if run is not None:
        job_id = request_job(api, path_of("reratings", _run_id(api, run), "undo"), {})
        undoes = True
    elif tariff and version is not None and from_text and to_text:
        body = given(
            tariff=tariff, version=version, to=to_text, account=account, apply=mode == "apply"
        )
        job_id = request_job(api, "/reratings", {**body, "from": from_text})
        undoes = False
    else:
        raise click.UsageError("name --tariff, --version, --from and --to; or --undo, or --list.")
    if no_wait:
        show_requested(job_id, as_json=as_json)
    else:
        show_rerating(result_of(api, job_id), undoes=undoes, as_json=as_json)


def show_rerating(found: Mapping[str, Any], *, undoes: bool, as_json: bool) -> None:
    """Print the clients that differ, the totals, why charges stay, and what was done."""
    if as_json:
        print_json(found)
        return
    columns = (
        titled("client", "account_id"),
        titled("charges", "examined"),
        field("differ"),
        ("difference", lambda row: format_micro(row["difference_micro"])),
        field("currency"),
    )
    if found["accounts"]:
        show_rows(found["accounts"], columns, as_json=False, empty="")
        click.echo("A difference above zero is credited to the client, below zero charged.")
    for total in found["totals"]:
        difference, charges = total["difference_micro"], plural(total["examined"], "charge")
        text = f"{charges}; difference {format_micro(difference)} {total['currency']}"
        if (charged := total.get("charged_micro")) is not None:
            text += f": {format_micro(charged)} becomes {format_micro(charged - difference)}"
        click.echo(text)
    for stays in found["unchanged"]:
        print_sentence(f"{stays['charges']} charges stay as they are: {stays['reason']}")
    click.echo(_conclusion(found, undoes))


def _conclusion(found: Mapping[str, Any], undoes: bool) -> str:
    run_id = found["run_id"]
    if run_id is None:
        return "Nothing was written: this is a dry run."
    if undoes:
        return f"Run {run_id} is undone."
    if not found["accounts"]:
        return "Nothing differs; nothing was written."
    return f"Applied as run {run_id}.\nPut it back: ringfence rerate --undo {run_id}"


def _list(api: ApiClient, *, as_json: bool) -> None:
    columns = (
        ("run", lambda row: str(row["run_id"])[:8]),
        moment("started", "started_at"),
        ("tariff", lambda row: f"{row['tariff_id']} {row['version_id']}"),
        ("client", lambda row: row["account_id"] or "all"),
        ("state", _state),
        field("calls"),
        field("difference"),
    )
    show_rows(
        api.listing("/reratings"), columns, as_json=as_json, empty="Nothing was re-rated yet.",
        detail=lambda row: f"calls from {row['from_text']} to {row['to_text']}",
    )  # fmt: skip


def _state(run: TableRow) -> str:
    return _STATES.get(run["state"], str(run["state"]))


def _run_id(api: ApiClient, text: str) -> str:
    return full_id(
        "RUN",
        text,
        lambda: (row["run_id"] for row in api.listing("/reratings").rows),
        "the id of a run, as --list shows it",
    )

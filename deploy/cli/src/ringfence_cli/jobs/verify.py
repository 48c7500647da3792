"""`ringfence verify`: rating checks the invariants and sums up the ledger."""

from collections.abc import Mapping
from typing import Any

import click

from ringfence_cli.connection import api_client, fail
from ringfence_cli.jobs.awaiting import no_wait_option, request_job, result_of, show_requested
from ringfence_cli.tables import (
    TableRow,
    field,
    output_options,
    print_json,
    print_sentence,
    show_rows,
    titled,
)
from ringfence_contracts.money import format_micro

EXIT_DIFFERS = 1


@click.command()
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, max=600),
    default=10.0,
    show_default=True,
    help="Seconds that what is on its way between services gets to arrive.",
)
@click.option("--replay", is_flag=True, help="Also rebuild all balances from the topics (I7).")
@click.option("--full", is_flag=True, help="Read the whole ledger, not from the checkpoints on.")
@no_wait_option
@click.option("--dsn", hidden=True)
@output_options
def verify(
    wait_s: float, replay: bool, full: bool, no_wait: bool, dsn: str | None, as_json: bool
) -> None:
    """Check the books, the funds holds and all copies (I1 to I4, I8, I10 to I12; I7); print sums.

    Rating checks, beside its work, from its last checkpoints on; the first time, and with --full,
    a large ledger takes minutes. Exit 1 when anything differs, or could not be checked; each
    difference is a line. While rating or the API is down,
    `ringfence database verify` does the same for who has the database.

    Example: ringfence verify --replay
    """
    if dsn is not None:
        fail("--dsn: `ringfence database verify --dsn` checks a database; verify asks the API.")
    api = api_client()
    job_id = request_job(api, "/verifications", {"wait_s": wait_s, "replay": replay, "full": full})
    if no_wait:
        show_requested(job_id, as_json=as_json)
        return
    found = result_of(api, job_id)
    show_verification(found, as_json=as_json)
    if not found["holds"]:
        raise SystemExit(EXIT_DIFFERS)


def show_verification(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the checks, each difference as a line, and the sums by currency."""
    if as_json:
        print_json(found)
        return
    columns = (
        titled("", "name"),
        titled("what must hold", "says"),
        titled("checked", "counted"),
        ("result", _result),
    )
    show_rows(found["checks"], columns, as_json=False, empty="Nothing was checked.")
    for check in found["checks"]:
        for line in (*check["differences"], *filter(None, [check["unknown"]]), *check["remarks"]):
            print_sentence(f"{check['name']} {line}")
    click.echo()
    sums = (
        field("currency"),
        field("accounts"),
        field("entries"),
        ("paid in", lambda row: format_micro(row["paid_micro"])),
        ("charged", lambda row: format_micro(row["charges_micro"])),
        ("balance", lambda row: format_micro(row["balance_micro"])),
    )
    show_rows(found["sums"], sums, as_json=False, empty="The ledger is empty.")


def _result(check: TableRow) -> str:
    if check["unknown"]:
        return "not known"
    return "holds" if check["holds"] else f"{check['found']} differ"

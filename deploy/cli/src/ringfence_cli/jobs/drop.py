"""`ringfence unrated drop`: rows that their PBX does not confirm leave the unrated queue."""

import click

from ringfence_cli.connection import api_client
from ringfence_cli.jobs.awaiting import request_job, result_of
from ringfence_cli.tables import output_options, plural, print_json


@click.command()
@click.argument("rows", nargs=-1, required=True, metavar="ROW…")
@click.option("--reason", required=True, help="Why nobody is to be charged for these rows.")
@output_options
def drop(rows: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Drop rows that a PBX lists as calls but does not confirm.

    ROW is the id that `ringfence unrated` shows, or its first characters. Nobody is ever charged
    for a dropped row. A call that waits for a rate or a product cannot be dropped.

    Example: ringfence unrated drop 2b8f0a5e --reason "row in the name of an extension"
    """
    api = api_client()
    job_id = request_job(api, "/unrated/drops", {"rows": list(rows), "reason": reason})
    found = result_of(api, job_id)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{plural(len(found['dropped']), 'row')} dropped.")

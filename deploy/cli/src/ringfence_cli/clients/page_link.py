"""`ringfence client link`: a link to the client's own page, and the end of all such links."""

import click

from ringfence_cli.connection import api_client, fail, given, path_of
from ringfence_cli.tables import output_options, print_json, print_sentence
from ringfence_cli.times import sentence

_DAY_S = 86_400


@click.command("link")
@click.argument("account")
@click.option(
    "--days",
    type=click.IntRange(1, 7),
    help="For how many days the link is valid; left out: 7.",
)
@click.option("--look-only", is_flag=True, help="Who opens it can change nothing.")
@click.option("--revoke", is_flag=True, help="End all links to the page, and who is on it by one.")
@click.option("--reason", help="Why they are revoked, for the record.")
@output_options
def client_link(
    account: str,
    days: int | None,
    look_only: bool,
    revoke: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """Print a link to a client's own page, or revoke all of them.

    The page shows the client's balance, calls, statement and prices, and which mails it gets.
    Anybody who has the link can open it, for 7 days; it ends earlier when a mail address of the
    client changes. With --revoke the links in mails end too.

    Example: ringfence client link anna
    """
    path = path_of("clients", account, "links")
    if revoke:
        if days is not None or look_only:
            fail("--revoke: expected no --days and no --look-only beside it")
        found = api_client().send("DELETE", path, params=given(reason=reason))
        if as_json:
            print_json(found)
            return
        print_sentence(f"No link to the page of {account} is valid any more.")
        return
    if reason is not None:
        fail("--reason: expected --revoke beside it")
    body = given(valid_s=days and days * _DAY_S, look_only=look_only or None)
    made = api_client().send("POST", path, json=body)
    if as_json:
        print_json(made)
        return
    print_sentence(
        f"The page of {account} opens by this link until {sentence(made['expires_at'])}:", err=True
    )
    click.echo(made["url"])

"""`ringfence token`: who may use the API, and for what."""

from collections.abc import Mapping
from typing import Any

import click

from ringfence_cli.connection import api_client, given, path_of
from ringfence_cli.tables import (
    field,
    instant,
    limit_option,
    output_options,
    print_json,
    print_sentence,
    short_id,
    show_rows,
    titled,
)
from ringfence_cli.times import parse_instant, sentence

SCOPES = ("read", "money", "operate", "admin")
_HOUR_S = 3600


@click.group()
def token() -> None:
    """Say who may use the API, and for what.

    A token allows what its scopes name. `read` shows; `money` changes what clients pay; `operate`
    changes clients and products, and switches them; `admin` is for everything, and for tokens.

    Example: ringfence token list
    """


@token.command("create")
@click.argument("operator", metavar="NAME")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES),
    help="What it allows; repeat it for several.",
)  # fmt: skip
@click.option(
    "--server", "servers", multiple=True,
    help="Limits operate to this server; repeat it for several. Left out: all.",
)  # fmt: skip
@click.option("--until", help="When it ends, such as 2027-01-31; left out: when it is revoked.")
@output_options
def create(
    operator: str,
    scopes: tuple[str, ...],
    servers: tuple[str, ...],
    until: str | None,
    as_json: bool,
) -> None:
    """Create a token for a person or a system. It is shown once.

    The audit says NAME for everything that is done with the token.

    Example: ringfence token create desk --scope read --scope operate --server pbx1
    """
    body = given(
        operator=operator,
        scopes=list(scopes),
        servers=list(servers) or None,
        expires_at=parse_instant("--until", until),
    )
    made = api_client().send("POST", "/tokens", json=body)
    _show_secret(made, as_json=as_json)


@token.command("list")
@click.option("--all", "show_all", is_flag=True, help="Also those that ended.")
@limit_option(50)
@output_options
def list_tokens(show_all: bool, limit: int, as_json: bool) -> None:
    """List the tokens that are valid, without their secrets.

    The tokens of RINGFENCE_ACCOUNTS_TOKENS are valid too, and not listed.

    Example: ringfence token list --all
    """
    columns = (
        short_id("id", "token_id"),
        titled("name", "operator"),
        field("state"),
        ("may", lambda row: ", ".join(row["scopes"])),
        instant("created", "created_at"),
        instant("until", "expires_at"),
    )
    found = api_client().listing("/tokens", limit, state="all" if show_all else "valid")
    show_rows(
        found,
        columns,
        as_json=as_json,
        empty="No tokens but those of RINGFENCE_ACCOUNTS_TOKENS.",
        noun="token",
        detail=_limits,
        shrinks="may",
    )


def _limits(row: Mapping[str, Any]) -> str:
    """The line below a token: the servers it is for, its last use, who created and revoked it."""
    servers = f"operates {', '.join(row['servers'])} alone; " if row["servers"] else ""
    revoked = f"; revoked by {row['revoked_by']}" if row["revoked_by"] else ""
    used = f"last used {sentence(row['used_at'])}" if row["used_at"] else "never used"
    return f"{servers}{used}; created by {row['created_by']}{revoked}"


@token.command("rotate")
@click.argument("token_id", metavar="ID")
@click.option(
    "--overlap", type=click.IntRange(0, 30 * 86_400), default=_HOUR_S, show_default=True,
    help="Seconds for which the old token stays valid; 0: it ends now.",
)  # fmt: skip
@output_options
def rotate(token_id: str, overlap: int, as_json: bool) -> None:
    """Replace a token by a new one that allows the same. It is shown once.

    ID is the token's id, or its first digits as `ringfence token list` shows.

    Example: ringfence token rotate 5c1f1c50 --overlap 600
    """
    path = path_of("tokens", token_id, "rotate")
    made = api_client().send("POST", path, json={"overlap_s": overlap})
    _show_secret(made, as_json=as_json)
    if not as_json:
        old = made["replaced"]
        ends = "has ended" if old["revoked_at"] else f"ends {sentence(old['expires_at'])}"
        print_sentence(f"The old one {ends}; `ringfence token revoke {token_id}` ends it at once.")


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@output_options
def revoke(token_id: str, as_json: bool) -> None:
    """End a token. It is refused within seconds.

    ID is the token's id, or its first digits as `ringfence token list` shows.

    Example: ringfence token revoke 5c1f1c50
    """
    found = api_client().send("DELETE", path_of("tokens", token_id))
    if as_json:
        print_json(found)
        return
    by, at = found["revoked_by"], sentence(found["revoked_at"])
    print_sentence(f"The token of {found['operator']} was revoked by {by}, {at}.")


@token.command("history")
@limit_option(50)
@output_options
def history(limit: int, as_json: bool) -> None:
    """List who created, rotated and revoked tokens, the newest first.

    Example: ringfence token history --limit 10
    """
    columns = (
        instant("at", "changed_at"),
        titled("by", "changed_by"),
        titled("what", "what"),
        short_id("id", "token_id"),
        ("name", lambda row: row["after"]["operator"]),
        ("may", lambda row: ", ".join(row["after"]["scopes"])),
    )
    show_rows(
        api_client().listing("/tokens/changes", limit),
        columns,
        as_json=as_json,
        empty="No token was created.",
        noun="change",
        shrinks="may",
    )


def _show_secret(made: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the new token alone on standard output, and on standard error what it is."""
    if as_json:
        print_json(made)
        return
    until = f" until {sentence(made['expires_at'])}" if made["expires_at"] else ""
    servers = f" on {', '.join(made['servers'])}" if made["servers"] else ""
    may = ", ".join(made["scopes"])
    print_sentence(
        f"{made['operator']} may {may}{servers}{until}. This is the only time the token is shown;"
        " a command takes it from RINGFENCE_TOKEN:",
        err=True,
    )
    click.echo(made["secret"])

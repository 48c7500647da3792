"""`ringfence operator`: the people who log in, and what they may do."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ringfence import stack_file
from ringfence_cli.access.token import SCOPES
from ringfence_cli.connection import api_client, fail, given, path_of
from ringfence_cli.tables import (
    field,
    instant,
    limit_option,
    output_options,
    print_json,
    print_sentence,
    show_rows,
    titled,
)
from ringfence_cli.times import sentence

CONSOLE_URL = "http://127.0.0.1:8081"

scope_help = "What the operator may do; repeat it for several."
server_help = "Limits operate to this server; repeat it for several."
password_file_option = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file whose first line is the password; left out: it is asked for.",
)


@click.group()
def operator() -> None:
    """Say who logs in, and for what.

    An operator is a person with a name and a password. The scopes are those of a token: `read`,
    `money`, `operate` and `admin`. The audit has the operator's name.

    Example: ringfence operator list
    """


@operator.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help=scope_help
)
@click.option("--server", "servers", multiple=True, help=f"{server_help} Left out: all.")
@password_file_option
@click.option("--no-password", is_flag=True, help="The operator logs in by a link alone.")
@output_options
def create(
    name: str,
    scopes: tuple[str, ...],
    servers: tuple[str, ...],
    password_file: Path | None,
    no_password: bool,
    as_json: bool,
) -> None:
    """Create an operator, and ask for the password.

    A password has at least 12 characters. With --no-password the operator logs in by the links of
    `ringfence operator link`.

    Example: ringfence operator create anna --scope read --scope operate --server pbx1
    """
    if no_password and password_file:
        fail("--no-password: expected no --password-file beside it")
    password = None if no_password else _password(password_file)
    body = given(name=name, scopes=list(scopes), servers=list(servers) or None, password=password)
    _show(api_client().send("POST", "/operators", json=body), as_json=as_json)


@operator.command("list")
@limit_option(50)
@output_options
def list_operators(limit: int, as_json: bool) -> None:
    """List the operators, without their passwords.

    One who may do nothing has tokens alone (`ringfence token list`), and cannot log in.

    Example: ringfence operator list
    """
    columns = (
        field("name"),
        ("state", lambda row: "enabled" if row["enabled"] else "disabled"),
        ("may", lambda row: ", ".join(row["scopes"])),
        ("logs in by", _logs_in_by),
        instant("created", "created_at"),
    )
    show_rows(
        api_client().listing("/operators", limit),
        columns,
        as_json=as_json,
        empty="No operators: `ringfence operator create` creates one.",
        noun="operator",
        detail=_limits,
        shrinks="may",
    )


def _logs_in_by(row: Mapping[str, Any]) -> str:
    if not row["scopes"]:
        return "tokens alone"
    return "password" if row["has_password"] else "links"


def _limits(row: Mapping[str, Any]) -> str:
    """The line below an operator: the servers, his last login, and who created him."""
    servers = f"operates {', '.join(row['servers'])} alone; " if row["servers"] else ""
    if row["last_login_at"]:
        login = f"logged in last {sentence(row['last_login_at'])}"
    else:
        login = "never logged in"
    return f"{servers}{login}; created by {row['created_by']}"


@operator.command("change")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help=scope_help)
@click.option("--server", "servers", multiple=True, help=server_help)
@click.option("--all-servers", is_flag=True, help="Operate is for all servers again.")
@output_options
def change(
    name: str,
    scopes: tuple[str, ...],
    servers: tuple[str, ...],
    all_servers: bool,
    as_json: bool,
) -> None:
    """Replace what an operator may do, also in the sessions that are open.

    Example: ringfence operator change anna --scope read --scope money
    """
    if all_servers and servers:
        fail("--all-servers: expected no --server beside it")
    body: dict[str, Any] = given(scopes=list(scopes) or None, servers=list(servers) or None)
    if all_servers:
        body["servers"] = None
    if not body:
        fail("expected what is to be changed: --scope, --server or --all-servers")
    _show(api_client().send("PATCH", path_of("operators", name), json=body), as_json=as_json)


@operator.command("password")
@click.argument("name")
@password_file_option
@output_options
def password(name: str, password_file: Path | None, as_json: bool) -> None:
    """Set the password of an operator. All of his sessions end.

    Example: ringfence operator password anna
    """
    body = {"password": _password(password_file)}
    found = api_client().send("PUT", path_of("operators", name, "password"), json=body)
    if as_json:
        print_json(found)
        return
    print_sentence(f"{name} has a new password; the sessions with the old one have ended.")


@operator.command("disable")
@click.argument("name")
@output_options
def disable(name: str, as_json: bool) -> None:
    """Keep an operator out: sessions and links end, and tokens are revoked.

    Example: ringfence operator disable anna
    """
    body = {"enabled": False}
    found = api_client().send("PATCH", path_of("operators", name), json=body)
    if as_json:
        print_json(found)
        return
    print_sentence(
        f"{name} is disabled: sessions and login links have ended, and all tokens are revoked."
    )


@operator.command("enable")
@click.argument("name")
@output_options
def enable(name: str, as_json: bool) -> None:
    """Let a disabled operator log in again. Revoked tokens stay revoked.

    Example: ringfence operator enable anna
    """
    body = {"enabled": True}
    _show(api_client().send("PATCH", path_of("operators", name), json=body), as_json=as_json)


@operator.command("link")
@click.argument("name")
@output_options
def link(name: str, as_json: bool) -> None:
    """Print a link by which an operator logs in once, within 15 minutes.

    It leads to the console at RINGFENCE_CONSOLE_URL, else to that of the stack that runs here.
    Anybody who has the link can use it: send it to the operator alone.

    Example: ringfence operator link anna
    """
    console = _console_url()
    made = api_client().send("POST", "/login-links", json={"operator": name})
    address = f"{console}/login#{made['secret']}"
    if as_json:
        print_json({**made, "link": address})
        return
    print_sentence(
        f"{name} logs in by this link, once, until {sentence(made['expires_at'])}. It is not shown"
        " again:",
        err=True,
    )
    click.echo(address)


@operator.command("history")
@limit_option(50)
@output_options
def history(limit: int, as_json: bool) -> None:
    """List who changed operators and gave them login links, the newest first.

    Example: ringfence operator history --limit 10
    """
    columns = (
        instant("at", "changed_at"),
        titled("by", "changed_by"),
        field("what"),
        titled("name", "operator"),
        ("may", lambda row: ", ".join(row["after"]["scopes"])),
    )
    show_rows(
        api_client().listing("/operators/changes", limit),
        columns,
        as_json=as_json,
        empty="No operator was created.",
        noun="change",
        shrinks="may",
    )


def _password(file: Path | None) -> str:
    """The first line of a file, or what the prompt reads twice: never an argument."""
    if file is None:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        fail(f"--password-file: {file} cannot be read as text")


def _console_url() -> str:
    url = (os.environ.get("RINGFENCE_CONSOLE_URL") or _console_here()).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        fail(f"RINGFENCE_CONSOLE_URL: got {url!r}, expected an address such as {CONSOLE_URL}")
    return url


def _console_here() -> str:
    """The console of the stack that runs here, if its API is meant; else the default address."""
    stack = {} if os.environ.get("RINGFENCE_API") else stack_file.read()
    port = stack.get("ports", {}).get("console")
    return f"http://127.0.0.1:{port}" if port else CONSOLE_URL


def _show(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what an operator may do now."""
    if as_json:
        print_json(found)
        return
    servers = f" on {', '.join(found['servers'])}" if found["servers"] else ""
    may = ", ".join(found["scopes"]) or "nothing but by tokens"
    state = "" if found["enabled"] else ", and is disabled"
    print_sentence(f"{found['name']} may {may}{servers}{state}.")

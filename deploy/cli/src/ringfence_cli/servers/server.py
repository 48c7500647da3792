"""`ringfence server`: the servers of the servers file, their state, and pauses for maintenance."""

from typing import Any

import click

from ringfence_cli.clients.orders import reason_option
from ringfence_cli.connection import api_client, given, path_of
from ringfence_cli.servers.inventory import compare, inventory, propose
from ringfence_cli.service_commands import await_answer, show_answer
from ringfence_cli.tables import (
    output_options,
    plural,
    print_json,
    show_rows,
    show_warnings,
    titled,
)
from ringfence_cli.times import parse_instant, sentence


@click.group()
def server() -> None:
    """Servers: list, pause, resume, inventory, compare, propose."""


server.add_command(inventory)
server.add_command(compare)
server.add_command(propose)


@click.command("servers")
@output_options
def servers(as_json: bool) -> None:
    """List servers: the same as `ringfence server list`.

    Example: ringfence servers
    """
    _show_servers(as_json)


@server.command("list")
@output_options
def list_servers(as_json: bool) -> None:
    """List servers: what is off there, and what fails.

    They are those of the servers file, and those where something is paused or off.

    Example: ringfence server list
    """
    _show_servers(as_json)


def _show_servers(as_json: bool) -> None:
    answer = api_client().get("/servers")
    show_warnings(answer)
    if as_json:
        print_json(answer["items"])
        return
    columns = (
        titled("server", "server_id"),
        ("kind", lambda row: row["kind"] or "none"),
        ("address", lambda row: row["address"] or "not in the servers file"),
        titled("products", "products"),
        titled("off", "elements_off"),
    )
    show_rows(
        answer["items"],
        columns,
        as_json=False,
        empty="No servers.",
        noun="server",
        detail=_state,
        shrinks="address",
    )


def _state(row: Any) -> str:
    """The line below a server: its state in one sentence."""
    parts = []
    if row["paused"]:
        until = f"until {sentence(row['paused_until'])}" if row["paused_until"] else "until resumed"
        why = f": {row['pause_reason']}" if row["pause_reason"] else ""
        since = sentence(row["paused_at"])
        parts.append(f"PAUSED since {since} {until} by {row['paused_by']}{why}")
    if row["failing"]:
        failing = plural(row["failing"], "service")
        parts.append(f"{failing} could not be switched, last error: {row['last_error']}")
    if row["drifting"]:
        parts.append(f"{plural(row['drifting'], 'element')} found on that should be off")
    if row["off_by_others"]:
        things = plural(row["off_by_others"], "thing")
        listed = f"`ringfence server inventory {row['server_id']} --not-ours`"
        parts.append(f"{things} off that ringfence did not switch off: {listed}")
    if row["inventory_error"]:
        parts.append(f"inventory not read: {row['inventory_error']}")
    if row["inventory_read_at"]:
        parts.append(f"inventory of {sentence(row['inventory_read_at'])}")
    return "; ".join(parts)


@server.command("pause")
@click.argument("server_id")
@click.option("--until", help="when it ends by itself, such as 2026-12-01T17:00")
@reason_option
@output_options
def pause(server_id: str, until: str | None, reason: str | None, as_json: bool) -> None:
    """Leave a server alone: nothing is switched there.

    For maintenance: nobody is cut or restored there until it is resumed. What became due
    during the pause is done then.

    Example: ringfence server pause pbx1 --until 2026-12-01T06:00 --reason "upgrade to 5.6"
    """
    body = given(until=parse_instant("--until", until), reason=reason)
    _request_command(server_id, "pause", body, as_json=as_json)


@server.command("resume")
@click.argument("server_id")
@reason_option
@output_options
def resume(server_id: str, reason: str | None, as_json: bool) -> None:
    """End a pause: what became due during it is switched.

    Example: ringfence server resume pbx1
    """
    _request_command(server_id, "resume", given(reason=reason), as_json=as_json)


def _request_command(server_id: str, what: str, body: dict[str, Any], *, as_json: bool) -> None:
    api = api_client()
    accepted = api.send("POST", path_of("servers", server_id, what), json=body)
    found = await_answer(api, accepted["request_id"])
    show_answer(found, shows="ringfence server list", as_json=as_json)

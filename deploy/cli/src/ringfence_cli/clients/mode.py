"""`ringfence mode`: put clients into operation, or back into shadow mode, in waves."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from ringfence.console.output import wrapped
from ringfence_cli.clients.orders import reason_option
from ringfence_cli.clients.waves import Switched, switch_in_waves
from ringfence_cli.connection import ApiClient, api_client, fail, given
from ringfence_cli.tables import (
    output_options,
    plural,
    print_json,
    print_sentence,
    show_facts,
    show_rows,
)

F = TypeVar("F", bound=Callable[..., Any])
EXIT_NOT_ALL = 1
_OUTCOMES = {
    "on": "on",
    "off": "off",
    "none": "without VoIP service",
    "failed": "could not be switched",
    "waiting": "not confirmed in time",
    "refused": "refused",
}
_CONFIRMED = frozenset(("on", "off", "none", "waiting"))


class Which(NamedTuple):
    """The clients that a command names: by their ids, so many of the next, or all."""

    clients: str | None
    everybody: bool
    number: int | None
    search: str | None


@click.group(invoke_without_command=True)
@output_options
@click.pass_context
def mode(context: click.Context, as_json: bool) -> None:
    """Show who is live and who is in shadow; switch it.

    In shadow everything is computed and shown as "would be off"; nothing is switched or mailed.
    `mode live` and `mode shadow` switch clients.

    Example: ringfence mode live --clients acme-1001,acme-1002
    """
    if context.invoked_subcommand is None:
        _status(api_client(), as_json=as_json)


def _status(api: ApiClient, *, as_json: bool) -> None:
    found = api.get("/mode")
    unposted = api.listing("/clients", 20, posted="no") if found["without_posting"] else None
    if as_json:
        print_json(found)
        return
    facts = {
        "live": plural(found["live"], "client"),
        "shadow": plural(found["shadow"], "client"),
        "new clients begin": found["default"],
    }
    if found["without_posting"]:
        facts["without opening balance"] = plural(found["without_posting"], "client")
    show_facts(facts, as_json=False)
    if unposted is not None:
        names = ", ".join(row["account_id"] for row in unposted.rows)
        more = ", …: `ringfence client list --no-posting`" if unposted.more else ""
        print_sentence(f"They cannot go live without one: {names}{more}.")
        click.echo("Give it: ringfence client set ACCOUNT --opening-balance 0")


def _which_options(command: F) -> F:
    options = (
        click.option("--clients", help="accounts, separated by commas"),
        click.option("--all", "everybody", is_flag=True, help="every client in the other mode"),
        click.option(
            "--next",
            "number",
            type=click.IntRange(1, 100),
            help="how many of the next clients; those who stay on come first",
        ),
        click.option("--search", help="with --next: only clients that the search finds"),
        click.option(
            "--at-once",
            type=click.IntRange(1, 1000),
            default=20,
            show_default=True,
            help="how many are switched before their services are awaited",
        ),
        click.option("--yes", is_flag=True, help="Do not ask."),
        reason_option,
        output_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


@mode.command("live")
@_which_options
def go_live(
    clients: str | None, everybody: bool, number: int | None, search: str | None, at_once: int,
    yes: bool, reason: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Put clients into operation: the PBX is brought to what is desired.

    Example: ringfence mode live --next 20
    """
    api = api_client()
    which = Which(clients, everybody, number, search)
    chosen = _chosen(api, which, "live", yes=yes, as_json=as_json)
    if everybody and not yes:
        _confirm(_before_all_go_live(api), as_json=as_json)
    body = given(mode="live", reason=reason)
    _show(switch_in_waves(api, chosen, body, at_once), "live", as_json=as_json)


@mode.command("shadow")
@click.option("--leave", is_flag=True, help="keep off what ringfence has switched off")
@_which_options
def go_into_shadow(
    clients: str | None, everybody: bool, number: int | None, search: str | None, at_once: int,
    yes: bool, leave: bool, reason: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Put clients back into shadow: what ringfence switched off is switched on again.

    Example: ringfence mode shadow --clients acme-1001 --leave
    """
    api = api_client()
    which = Which(clients, everybody, number, search)
    chosen = _chosen(api, which, "shadow", yes=yes, as_json=as_json)
    if everybody and not yes:
        _confirm(_before_all_go_into_shadow(api, leave=leave), as_json=as_json)
    body = given(mode="shadow", leave=leave, reason=reason)
    _show(switch_in_waves(api, chosen, body, at_once), "in shadow", as_json=as_json)


def _chosen(api: ApiClient, which: Which, to: str, *, yes: bool, as_json: bool) -> list[str]:
    """The clients to switch; with --next they are shown first, and confirmed."""
    if sum(map(bool, (which.clients, which.everybody, which.number))) != 1:
        fail("which clients? Give --clients A,B,… or --next N or --all")
    if which.search and not which.number:
        fail("--search: expected --next N beside it")
    if which.clients:
        return list(
            dict.fromkeys(name.strip() for name in which.clients.split(",") if name.strip())
        )
    if which.number:
        return _next(api, which, to, yes=yes, as_json=as_json)
    now = "shadow" if to == "live" else "live"
    return [row["account_id"] for row in api.listing("/clients", mode=now).rows]


def _next(api: ApiClient, which: Which, to: str, *, yes: bool, as_json: bool) -> list[str]:
    asked = given(to=to, limit=which.number, search=which.search)
    wave = api.get("/mode/wave", **asked)
    if not yes and wave["items"]:
        lines = [f"{each['account_id']}: {each['what_happens']}" for each in wave["items"]]
        lines.append(f"{len(wave['items'])} of {plural(wave['total'], 'client')} like that.")
        shown = "\n".join(wrapped(line, sys.stderr) for line in lines)
        _confirm(shown, as_json=as_json)
    return [each["account_id"] for each in wave["items"] if each["outcome"] != "refused"]


def _count(api: ApiClient, **filters: str) -> int:
    return api.listing("/clients", 1, **filters).total or 0


def _before_all_go_live(api: ApiClient) -> str:
    total = plural(_count(api, mode="shadow"), "client")
    off = _count(api, state="would-be-off")
    refused = _count(api, mode="shadow", posted="no")
    lines = [
        f"{total} in shadow will go live.",
        f"Would be off: {off}, switched off as they go live.",
    ]
    if api.get("/adoptions", limit=1)["count"]:
        lines.append(_adoption_line(api))
    if refused:
        lines.append(f"{plural(refused, 'client')} without opening balance will be refused.")
    if api.get("/brake")["on"]:
        lines.append("The brake is on: nobody is cut for funds until `ringfence brake release`.")
    return "\n".join(lines)


def _adoption_line(api: ApiClient) -> str:
    rows = api.listing("/adoptions").rows
    clients = len({row["account_id"] for row in rows})
    return (
        f"Adopted: {plural(len(rows), 'element')} of {plural(clients, 'client')}, off on the PBX"
        " already: `ringfence adopt list`."
    )


def _before_all_go_into_shadow(api: ApiClient, *, leave: bool) -> str:
    total = plural(_count(api, mode="live"), "client")
    off = _count(api, mode="live", state="off")
    return "\n".join(
        (f"{total} will go into shadow.", f"Off now: {off}. They "
         f"{'stay off' if leave else 'are switched on again'}, and nobody is cut from then on.")
    )  # fmt: skip


def _confirm(question: str, *, as_json: bool) -> None:
    if as_json:
        fail("with --json nothing is asked: add --yes")
    click.echo(question, err=True)
    click.confirm("Go on?", abort=True, err=True)


def _show(switched: Sequence[Switched], what: str, *, as_json: bool) -> None:
    """Print all outcomes. Exits with 1 if a client was refused or could not be switched."""
    bad = [each for each in switched if each.outcome not in _CONFIRMED]
    if as_json:
        print_json([each._asdict() for each in switched])
    elif not switched:
        click.echo(f"Nobody to switch: every client is {what} already.")
    else:
        _show_summary(switched, what)
    if bad:
        raise SystemExit(EXIT_NOT_ALL)


def _show_summary(switched: Sequence[Switched], what: str) -> None:
    done = sum(1 for each in switched if each.outcome != "refused")
    click.echo(f"{done} of {plural(len(switched), 'client')} {what} now:")
    for outcome, words in _OUTCOMES.items():
        number = sum(1 for each in switched if each.outcome == outcome)
        if number:
            click.echo(f"  {number:>5} {words}")
    adopted = sum(each.adopts for each in switched)
    if adopted:
        elements = plural(adopted, "element")
        print_sentence(
            f"Adopted: {elements}, off on the PBX before, switched on again by a payment."
        )
    columns = (
        ("account", lambda row: row["account"]),
        ("outcome", lambda row: row["outcome"]),
    )
    open_ones = [each._asdict() for each in switched if each.why]
    if open_ones:
        show_rows(
            open_ones, columns, as_json=False, empty="", noun="client",
            detail=lambda row: row["why"], shrinks="outcome",
        )  # fmt: skip

"""`ringfence brake`: cutting paused because too many clients would be cut at once."""

import click

from ringfence_cli.clients.orders import reason_option
from ringfence_cli.connection import ApiClient, api_client, given
from ringfence_cli.service_commands import await_answer, show_answer
from ringfence_cli.tables import output_options, plural, print_json, print_sentence
from ringfence_cli.times import sentence


@click.group(invoke_without_command=True)
@output_options
@click.pass_context
def brake(context: click.Context, as_json: bool) -> None:
    """Show whether cutting is paused; release it, or undo it.

    It pauses by itself when too many clients would be cut at once.
    `brake release` cuts those who wait; `brake undo` leaves them on until their next funds hold.
    Example: ringfence brake release --reason "the new rates are right"
    """
    if context.invoked_subcommand is None:
        _status(api_client(), as_json=as_json)


def _status(api: ApiClient, *, as_json: bool) -> None:
    found = api.get("/brake")
    if as_json:
        print_json(found)
    elif not found["on"]:
        click.echo("The brake is off: clients are cut as their credit ends.")
    else:
        print_sentence(f"The brake is on since {sentence(found['on_since'])}: {found['cause']}.")
        click.echo(f"{plural(found['paused'], 'cut')} paused; restoring goes on. What next:")
        click.echo("  ringfence brake release   they are right: cut them now")
        click.echo("  ringfence brake undo      they are wrong: spare them")


@brake.command("release")
@reason_option
@output_options
def release(reason: str | None, as_json: bool) -> None:
    """Cut those who wait: their holds are right.

    Example: ringfence brake release --reason "the new rates are right"
    """
    _command("brake.release", reason, as_json)


@brake.command("undo")
@reason_option
@output_options
def undo(reason: str | None, as_json: bool) -> None:
    """Spare those who wait: their holds came of a mistake, such as wrong rates.

    Example: ringfence brake undo --reason "rates of deck 12 were wrong"
    """
    _command("brake.undo", reason, as_json)


def _command(command: str, reason: str | None, as_json: bool) -> None:
    """Send a command to the suspender, print its answer. Exits with 1 on refusal or silence."""
    api = api_client()
    body = given(service="suspender", command=command, reason=reason)
    found = await_answer(api, api.send("POST", "/commands", json=body)["request_id"])
    show_answer(found, shows="ringfence brake", as_json=as_json)

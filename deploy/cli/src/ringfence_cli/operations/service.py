"""`ringfence service`: bring a product to its desired state again."""

import click

from ringfence_cli.clients.orders import reason_option
from ringfence_cli.connection import api_client, given, path_of
from ringfence_cli.service_commands import await_answer, show_answer
from ringfence_cli.tables import output_options


@click.group()
def service() -> None:
    """Services on their PBX: reapply."""


@service.command("reapply")
@click.argument("account")
@click.argument("product_id")
@reason_option
@output_options
def reapply(account: str, product_id: str, reason: str | None, as_json: bool) -> None:
    """Bring a product again to what is desired, whatever was confirmed before.

    For a PBX that was restored, or changed by hand. It switches off what is to be off; it never
    switches on what was off before ringfence switched anything.

    Example: ringfence service reapply acme-1001 pbx-1001 --reason "the PBX was restored"
    """
    api = api_client()
    path = path_of("clients", account, "products", product_id, "reapply")
    accepted = api.send("POST", path, json=given(reason=reason))
    found = await_answer(api, accepted["request_id"])
    show_answer(found, shows=f"ringfence services {account}", as_json=as_json)

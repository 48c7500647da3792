"""`ringfence explain client`: why a client is on or off."""

import click

from ringfence_cli.connection import api_client, path_of
from ringfence_cli.tables import (
    instant,
    output_options,
    print_json,
    print_sentence,
    show_rows,
    titled,
)


@click.command("client")
@click.argument("account")
@output_options
def explain_client(account: str, as_json: bool) -> None:
    """Explain why ACCOUNT is on or off, product by product.

    Example: ringfence explain client acme-1001
    """
    found = api_client().get(path_of("clients", account, "explanation"))
    if as_json:
        print_json(found)
        return
    for sentence in found["words"]:
        print_sentence(sentence)
    click.echo()
    columns = (
        titled("product", "product"),
        titled("server", "server"),
        titled("desired", "desired"),
        titled("confirmed", "confirmed"),
        instant("since", "since"),
        titled("held by", "holds"),
    )
    show_rows(
        found["lines"],
        columns,
        as_json=False,
        empty="No products.",
        noun="product",
        detail=lambda row: row["words"],
        shrinks="held by",
    )

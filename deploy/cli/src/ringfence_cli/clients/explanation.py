"""`ringfence explain`: what became of a call, and why a client is on or off."""

from collections.abc import Iterable, Mapping
from typing import Any

import click

from ringfence_cli import times
from ringfence_cli.connection import api_client, path_of
from ringfence_cli.tables import (
    instant,
    output_options,
    print_json,
    print_sentence,
    show_facts,
    show_rows,
    titled,
)


class _CallFirst(click.Group):
    """A group whose first word may be a call: `explain 5f1c…` is `explain call 5f1c…`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `call` before words that begin with no command of this group."""
        first = next((word for word in args if not word.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["call", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_CallFirst)
def explain() -> None:
    """Explain a call and its price, or why a client is on or off.

    \b
    Examples: ringfence explain 5f1c2e9a
              ringfence explain 5f1c2e9a-44b0@pbx1
              ringfence explain client acme-1001
    """


@explain.command("call")
@click.argument("call")
@output_options
def explain_call(call: str, as_json: bool) -> None:
    """Explain what became of CALL and how it was priced; `explain CALL` is the same.

    CALL is a call's id, a ledger entry's id, the first 8 digits of either, or the PBX's own id of
    the call and the server, as in 5f1c…@pbx1.
    Example: ringfence explain call 5f1c2e9a
    """
    found = api_client().get(path_of("calls", call))
    if as_json:
        print_json(found)
        return
    for number, part in enumerate(_parts(found["lines"])):
        if number:
            click.echo()
        show_facts(part, as_json=False)


def _parts(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The lines between two blank ones, by label; instants are in the shown zone."""
    parts: list[dict[str, str]] = [{}]
    for line in lines:
        if not line["label"]:
            parts.append({})
        else:
            text = times.sentence(line["at"]) if line["at"] else str(line["text"])
            parts[-1][line["label"]] = text
    return parts


@explain.command("client")
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

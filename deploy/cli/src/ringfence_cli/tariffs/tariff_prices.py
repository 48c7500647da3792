"""Prints what calls will cost by a file, and the versions that its dates make."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ringfence_cli.tables import field, instant, show_rows, titled


def show_prices(prices: Sequence[Mapping[str, Any]], currency: str) -> None:
    """Print the first rows of a file, each with the price of calls of some lengths."""
    if not prices:
        return
    lengths = next((list(row["calls"]) for row in prices if row["calls"]), [])
    columns = (
        field("prefix"),
        field("description"),
        titled("rate/min", "rate"),
        titled("billed by", "increment"),
        *((f"{length} s", _price_of(length)) for length in lengths),
    )
    click.echo(f"What calls of the file's first rows cost, in {currency}, before any markup:")
    show_rows(prices, columns, as_json=False, empty="")


def _price_of(length: str) -> Any:
    def price(row: Mapping[str, Any]) -> str:
        if row["calls"] is None:
            return "package" if row["status"] == 0 else "blocked"
        return str(row["calls"][length])

    return price


def show_later(later: Sequence[Mapping[str, Any]]) -> None:
    """Print the versions that the dates of a file make after the first."""
    if not later:
        return
    click.echo("The dates in the file make further versions, each made from the one before:")
    columns = (
        instant("effective from", "effective_from"),
        titled("rows", "rows"),
        *(_count_of(kind) for kind in ("added", "removed", "dearer", "cheaper", "changed")),
    )
    show_rows(later, columns, as_json=False, empty="")


def _count_of(kind: str) -> tuple[str, Any]:
    return kind, lambda row: row["diff"]["counts"][kind]

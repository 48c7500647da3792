"""The live view of `ringfence run`, and the plain lines if the output is not a terminal."""

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ringfence_contracts.money import format_cents
from ringfence_local.demo.monitor import StackSnapshot

_LEVEL_STYLE = {"ok": "green", "low": "yellow", "exhausted": "red"}


def render(snapshot: StackSnapshot, footer: str) -> RenderableType:
    """The view for a terminal of 80 columns."""
    head = Text.assemble(
        ("ringfence", "bold"),
        f"   {snapshot.calls} calls taken in since the start, {snapshot.calls_per_second:.1f}/s",
        f"   unrated {snapshot.unrated}",
    )
    mails = Panel(
        Text("\n".join(snapshot.mails) or "none yet", overflow="ellipsis", no_wrap=True),
        title="last mails",
        title_align="left",
    )
    return Group(
        head, Columns([_balances(snapshot), _services(snapshot)]), mails, Text(footer, style="dim")
    )


def _balances(snapshot: StackSnapshot) -> Table:
    table = Table(title="balances", title_justify="left")
    table.add_column("client")
    table.add_column("balance", justify="right")
    table.add_column("level")
    table.add_column("service")
    for row in snapshot.balances:
        level = row["level"] or "-"
        table.add_row(
            row["account_id"],
            f"{format_cents(row['balance_micro'])} {row['currency']}",
            Text(level, style=_LEVEL_STYLE.get(level, "")),
            _service_state(row["suspended"], row["would_be"], row["open"]),
        )
    return table


def _service_state(suspended: bool, would_be_off: bool, is_open: bool) -> Text:
    if is_open:
        return Text("switching…", style="yellow")
    if would_be_off:
        return Text("would be off", style="magenta")
    return Text("suspended", style="red") if suspended else Text("on", style="green")


def _services(snapshot: StackSnapshot) -> Table:
    table = Table(title="services", title_justify="left")
    table.add_column("service")
    table.add_column("state")
    table.add_column("lag", justify="right")
    table.add_column("restarts", justify="right")
    for line in snapshot.services:
        style = "green" if line.status == "ok" else "red"
        table.add_row(line.name, Text(line.status, style=style), _lag(line.lag), str(line.restarts))
    return table


def _lag(lag: int | None) -> str:
    return "?" if lag is None else str(lag)


def plain(snapshot: StackSnapshot) -> str:
    """The snapshot on one line, for logs and pipes."""
    balances = " ".join(
        f"{row['account_id']}={format_cents(row['balance_micro'])}"
        f"{'(suspended)' if row['suspended'] else ''}"
        for row in snapshot.balances
    )
    lags = [line.lag for line in snapshot.services]
    lag = "?" if None in lags else str(sum(lag for lag in lags if lag))
    failing = [line.name for line in snapshot.services if line.status != "ok"]
    return (
        f"calls={snapshot.calls} per_second={snapshot.calls_per_second:.1f}"
        f" unrated={snapshot.unrated} lag={lag} mails={len(snapshot.mails)}"
        f" failing={','.join(failing) or 'none'} {balances}"
    )

"""The live view of `ringfence run`, and the plain lines if the output is not a terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ringfence_contracts.money import format_cents
from ringfence_local.demo.monitor import ServiceSnapshot, StackSnapshot
from ringfence_local.demo.store import WatchedClient

_STYLES = {
    "failed": "red",
    "off": "red",
    "would be off": "magenta",
    "exhausted": "red",
    "switching": "yellow",
    "metered": "",
    "low": "yellow",
    "ok": "green",
}
_LEVEL_STYLES = {"ok": "green", "low": "yellow", "exhausted": "red"}
_GAP = "   "
_LEAST_MAILS = 2
_MOST_MAILS = 12
_HEADING = ("Client", "Balance", "Level")
_PLAIN_CLIENTS = 12
_REST = {"ok": "ok", "low": "low", "metered": "metered, without credit"}


@dataclass(frozen=True)
class StackView:
    """A snapshot, drawn into exactly the lines that the terminal has, or into fewer.

    The clients who need help come first, as many as fit. `addresses` are at the end, and always
    shown: each is one text that is not divided unless it is longer than a line.
    """

    snapshot: StackSnapshot
    addresses: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        for line in self._lines(width, console.height):
            line.truncate(width, overflow="ellipsis")
            line.no_wrap = True
            yield line

    def _lines(self, width: int, height: int) -> list[Text]:
        head = [_header(self.snapshot), *_service_lines(self.snapshot.services)]
        foot = _footer(self.addresses, width)
        mails = [Text(mail) for mail in self.snapshot.mails] or [Text("none yet")]
        # Beside these: a blank line and a heading, of the clients and of the mails.
        space = height - len(head) - len(foot) - 4
        clients = _client_lines(self.snapshot, space - min(len(mails), _LEAST_MAILS))
        last = min(max(space - len(clients) + 1, _LEAST_MAILS), _MOST_MAILS)
        lines = [*head, Text(), *clients, Text(), Text("Last mails", "bold"), *mails[-last:]]
        return [*lines[: max(height - len(foot), 0)], *foot]


def _header(snapshot: StackSnapshot) -> Text:
    return Text.assemble(
        ("ringfence", "bold"),
        f"{_GAP}calls {snapshot.calls:,}, {snapshot.calls_per_second:.1f} a second{_GAP}",
        (f"unrated {snapshot.unrated:,}", "yellow" if snapshot.unrated else ""),
        _GAP,
        (f"open alarms {snapshot.alarms:,}", "red" if snapshot.alarms else ""),
    )


def _service_lines(services: Sequence[ServiceSnapshot]) -> list[Text]:
    """One line if all are well; else those that are not, on at most one more."""
    failing = [service for service in services if service.status != "ok"]
    lags = [service.lag for service in services]
    behind = "?" if None in lags else f"{sum(lag or 0 for lag in lags):,}"
    restarts = sum(service.restarts for service in services)
    again = f", {restarts} restarts" if restarts else ""
    if not failing:
        return [Text(f"{len(services)} services ok, lag {behind}{again}", style="green")]
    well = len(services) - len(failing)
    names = ", ".join(f"{each.name} {each.status}" for each in failing)
    lines = [Text(f"{well} of {len(services)} services ok, lag {behind}{again}", style="yellow")]
    return [*lines, Text(f"not ok: {names}", style="red")]


def _client_lines(snapshot: StackSnapshot, space: int) -> list[Text]:
    """The heading, and `space` lines: clients, and one about the others if there are more."""
    total = sum(snapshot.counts.values())
    if not total:
        return [Text("No clients yet", "bold")]
    shown = snapshot.clients[: max(space if total <= space else space - 1, 0)]
    rows = [
        (each.account_id, f"{format_cents(each.balance_micro)} {each.currency}", each.level or "-")
        for each in shown
    ]
    first, second, third = (max(map(len, column)) for column in zip(_HEADING, *rows, strict=True))
    lines = [
        Text.assemble(
            f"{name:{first}}  {balance:>{second}}  ",
            (f"{level:{third}}", _LEVEL_STYLES.get(level, "")),
            "  ",
            (_state(each), _STYLES[each.kind]),
        )
        for each, (name, balance, level) in zip(shown, rows, strict=True)
    ]
    name, balance, level = _HEADING
    heading = Text(f"{name:{first}}  {balance:>{second}}  {level:{third}}  State", "bold")
    others = [Text(_others(snapshot.counts, shown), "dim")] if total > len(shown) else []
    return [heading, *lines, *others]


def _state(client: WatchedClient) -> str:
    """What is so, and why, for a person who sees nothing else."""
    if client.kind == "failed":
        return f"switching fails: {client.last_error}"
    if client.kind == "switching":
        return "switching off…" if client.wanted_off else "switching on…"
    if client.kind == "off":
        return "off: no credit" if client.held else "off: by an order"
    if client.kind == "would be off":
        return "on, in shadow: it would be off"
    if client.kind == "exhausted":
        return f"on without credit: `ringfence explain client {client.account_id}`"
    if client.kind == "metered":
        return "on: metered, so it is billed and stays on"
    if client.balance_micro < 0 and client.credit_limit_micro:
        return f"on: within its credit limit of {format_cents(client.credit_limit_micro)}"
    return "on"


def _others(counts: dict[str, int], shown: Sequence[WatchedClient]) -> str:
    """`… 300 more clients, all ok`, or how many of them are in which state."""
    left = Counter(counts)
    left.subtract(client.kind for client in shown)
    kinds = {kind: left[kind] for kind in _STYLES if left[kind] > 0}
    total = sum(kinds.values())
    noun = "more client" if total == 1 else "more clients"
    if list(kinds) == ["ok"]:
        return f"… {total:,} {noun}, {'all ok' if total > 1 else 'ok'}"
    listed = ", ".join(f"{count:,} {_REST.get(kind, kind)}" for kind, count in kinds.items())
    return f"… {total:,} {noun}: {listed}"


def _footer(addresses: Sequence[str], width: int) -> list[Text]:
    """The addresses, as many on a line as fit."""
    lines: list[str] = []
    for address in addresses:
        if lines and len(lines[-1]) + len(_GAP) + len(address) <= width:
            lines[-1] += _GAP + address
        else:
            lines += [address[at : at + width] for at in range(0, len(address), width)]
    return [Text(line, style="dim") for line in lines]


def plain(snapshot: StackSnapshot) -> str:
    """The snapshot on one line, for logs and pipes: the clients who need help first."""
    shown = snapshot.clients[:_PLAIN_CLIENTS]
    balances = " ".join(
        f"{each.account_id}={format_cents(each.balance_micro)}"
        f"{'(suspended)' if each.kind == 'off' else ''}"
        for each in shown
    )
    more = sum(snapshot.counts.values()) - len(shown)
    lags = [line.lag for line in snapshot.services]
    lag = "?" if None in lags else str(sum(lag for lag in lags if lag))
    failing = [line.name for line in snapshot.services if line.status != "ok"]
    return (
        f"calls={snapshot.calls} per_second={snapshot.calls_per_second:.1f}"
        f" unrated={snapshot.unrated} alarms={snapshot.alarms} lag={lag}"
        f" mails={len(snapshot.mails)} failing={','.join(failing) or 'none'}"
        f" {balances}{f' more={more}' if more else ''}"
    )

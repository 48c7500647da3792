"""The live view of `ringfence run`: it fits the terminal, and shows who needs help first."""

import io
from collections import Counter

import pytest
from rich.console import Console

from ringfence_local.demo.monitor import ServiceSnapshot, StackSnapshot
from ringfence_local.demo.store import WatchedClient
from ringfence_local.demo.view import StackView, plain

ADDRESSES = (
    "API http://127.0.0.1:8080/v1", "PBX http://127.0.0.1:8055",
    "metrics http://127.0.0.1:41003/metrics", "inbox .ringfence/inbox", "logs .ringfence/logs",
    "ports .ringfence/stack.json", "Ctrl-C stops everything",
)  # fmt: skip
SERVICES = ["cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts"]


def client(number: int, kind: str = "ok", **changes: object) -> WatchedClient:
    values: dict[str, object] = {
        "account_id": str(1000 + number), "balance_micro": 20_000_000 + number, "currency": "CAD",
        "level": "low" if kind == "low" else "ok", "threshold_micro": 15_000_000,
        "credit_limit_micro": 0, "held": False, "wanted_off": False,
        "last_error": "", "kind": kind, **changes,
    }  # fmt: skip
    return WatchedClient(**values)  # type: ignore[arg-type]


def snapshot(clients: list[WatchedClient], *, read: int = 200, mails: int = 30) -> StackSnapshot:
    return StackSnapshot(
        clients=clients[:read],
        counts=dict(Counter(each.kind for each in clients)),
        services=[ServiceSnapshot(name, "ok", 0, 0) for name in SERVICES],
        mails=[f"client{n}@example.com: Low Balance Alert " + "é" * n for n in range(mails)],
        calls=12_345,
        calls_per_second=2.0,
    )


def drawn(what: StackSnapshot, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the view on a terminal of this size."""
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, no_color=True,
                      color_system=None, legacy_windows=False)  # fmt: skip
    console.print(StackView(what, ADDRESSES))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("failing", [0, 6])
@pytest.mark.parametrize("mails", [0, 1, 30])
@pytest.mark.parametrize("count", [0, 3, 12, 312])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (200, 24), (60, 24)])
def test_it_fits_the_terminal_and_keeps_the_addresses(
    width: int, height: int, count: int, mails: int, failing: int
) -> None:
    seen = snapshot([client(n) for n in range(count)], mails=mails)
    seen.services[:failing] = [
        ServiceSnapshot(name, "not answering", None, 12) for name in SERVICES[:failing]
    ]
    lines = drawn(seen, width, height)
    assert len(lines) <= height
    assert [line for line in lines if len(line) > width] == []
    for address in ADDRESSES:
        assert any(address in line for line in lines), address
    begins = lines.index("Last mails") + 1
    shown = [line for line in lines[begins:] if "Low Balance" in line or line == "none yet"]
    assert len(shown) >= min(mails, 2) or shown == ["none yet"]


def test_it_uses_all_lines_of_a_terminal_that_has_more_to_show() -> None:
    seen = snapshot([client(n) for n in range(312)])
    for height in (24, 50, 120):
        assert len(drawn(seen, 80, height)) == height


def test_who_needs_help_is_shown_first_and_the_others_are_counted() -> None:
    help_wanted = [
        client(1, "failed", last_error="the PBX refused the login"),
        client(2, "off", level="exhausted", held=True, balance_micro=-1_600_000),
        client(3, "off"),
        client(4, "would be off", level="exhausted", held=True),
        client(5, "switching", wanted_off=True),
    ]
    others = [client(n, "low") for n in range(10, 30)] + [client(n) for n in range(30, 317)]
    text = "\n".join(drawn(snapshot(help_wanted + others)))
    first, *_ = text.partition("1010")
    for said in (
        "switching fails: the PBX refused the login", "-1.60 CAD  exhausted  off: no credit",
        "off: by an order", "on, in shadow: it would be off", "switching off…",
    ):  # fmt: skip
        assert said in first, text
    assert "more clients: " in text
    shown = sum(f"{each.account_id} " in text for each in others)
    low = 20 - shown
    assert f"… {307 - shown} more clients: {low} low, 287 ok" in text


def test_the_others_are_all_ok() -> None:
    assert "… 300 more clients, all ok" in "\n".join(
        drawn(snapshot([client(n) for n in range(312)]))
    )


def test_without_credit_but_on_is_explained() -> None:
    text = "\n".join(drawn(snapshot([
        client(1, "exhausted", level="exhausted", held=True),
        client(2, "metered", level="exhausted", held=True, balance_micro=-5_000_000),
        client(3, "low", balance_micro=-3_000_000, credit_limit_micro=25_000_000),
    ])))  # fmt: skip
    for line in text.splitlines():
        assert not line.rstrip().endswith("exhausted  on")
    assert "exhausted  on without credit: `ringfence explain client 1001`" in text
    assert "exhausted  on: metered, so it is billed and stays on" in text
    assert "on: within its credit limit of 25.00" in text


def test_services_are_one_line_or_name_those_that_are_not_ok() -> None:
    seen = snapshot([])
    assert "6 services ok, lag 0" in drawn(seen)
    seen.services[3] = ServiceSnapshot("suspender", "starting", None, 2)
    seen.services[1] = ServiceSnapshot("rating", "ok", 1200, 0)
    assert "5 of 6 services ok, lag ?, 2 restarts" in drawn(seen)
    assert "not ok: suspender starting" in drawn(seen)


def test_alarms_and_unrated_calls_are_in_the_header() -> None:
    seen = snapshot([])
    seen.unrated, seen.alarms = 7, 2
    expected = "ringfence   calls 12,345, 2.0 a second   unrated 7   open alarms 2"
    assert drawn(seen)[0] == expected


def test_the_plain_line_has_twelve_clients_and_the_number_of_the_others() -> None:
    line = plain(snapshot([client(1, "off", balance_micro=-1), *map(client, range(2, 313))]))
    assert line.count("=20.00") == 11
    assert "(suspended) " in line
    assert line.endswith(" more=300")
    assert "\n" not in line

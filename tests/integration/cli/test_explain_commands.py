"""`ringfence explain` and `ringfence account`: what rating stored, shown to an operator."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ringfence_cli.clients.explanation import explain
from ringfence_cli.payments.statement import account
from ringfence_contracts.ids import charge_id
from ringfence_contracts.money import parse_micro
from ringfence_testing.records import call
from tests.support.accounts import TOKEN
from tests.support.explained import Explained, open_explained
from tests.support.rating import payment


@pytest.fixture
async def here(database: str) -> AsyncIterator[Explained]:
    async with open_explained(database) as opened:
        yield opened


@pytest.fixture
def toronto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Toronto")
    time.tzset()


@pytest.fixture(autouse=True)
def _zone_afterwards() -> object:
    yield
    time.tzset()


def amounts(output: str) -> list[int]:
    """The column of amounts, from the opening to the last entry: micro-units."""
    lines = output.splitlines()
    start = lines[0].index("amount") - 8
    end = lines[0].index("amount") + len("amount")
    texts = [line[start:end].strip() for line in lines[2:]]
    closing = next(n for n, line in enumerate(lines[2:]) if "closing" in line)
    return [parse_micro(text.rpartition(" ")[2]) for text in texts[:closing] if text]


async def test_a_call_is_explained_with_and_without_its_word(here: Explained) -> None:
    await here.bench.rate(call())
    output = await here.operator.output(explain, str(call().call_id))
    assert "outcome charged 0.01 CAD account 1001" in output
    assert await here.operator.output(explain, "call", "call-1@pbx1") == output
    help_text = await here.operator.output(explain, "--help")
    assert "explain client" in help_text
    assert "why a client is on or off" in help_text
    found = await here.operator.json(explain, "call-1@pbx1")
    assert (found["outcome"], found["entries"][0]["amount"]) == ("charged", "-0.01")


@pytest.mark.usefixtures("toronto")
async def test_instants_are_in_the_named_zone_without_fractions(here: Explained) -> None:
    await here.bench.rate(call())
    started = call().started_at
    local = await here.operator.output(explain, "call-1@pbx1")
    assert f"started {started - timedelta(hours=5):%Y-%m-%d %H:%M:%S} EST" in local
    utc = await here.operator.output(explain, "call-1@pbx1", "--utc")
    assert f"started {started:%Y-%m-%d %H:%M:%S} UTC" in utc
    assert "+00:00" not in local + utc


async def test_an_unknown_call_is_refused_in_words(here: Explained) -> None:
    for name, words in (  # each with what to do next
        ("00000000", "`ringfence account ACCOUNT` lists the entries of a client"),
        ("nonsense", "a call's or an entry's id, its first 8 digits, or ID@SERVER"),
    ):
        result = await here.operator.run(explain, "call", name, status=2)
        output = " ".join(result.output.split())
        assert f"'{name}'" in output
        assert words in output


async def test_a_client_is_still_explained(here: Explained) -> None:
    output = await here.operator.output(explain, "client", "1001")
    assert "1001 has no VoIP service" in output


async def test_a_balance_is_shown_with_its_entries(here: Explained) -> None:
    await here.bench.pay(payment("k", 5_000_000, reference="receipt 7"))
    await here.bench.rate(call(1), call(2))
    output = await here.operator.output(account, "1001", "--utc")
    assert "receipt 7 5.00 5.00" in output
    assert "closing 4.98 4.98 Times are in UTC. 3 entries. They add up." in output
    assert "They add up. Balance now: 4.98 CAD." in output
    whole = await here.operator.json(account, "1001")
    assert (whole["closing"], len(whole["entries"])) == ("4.98", 3)
    assert "next" not in whole


async def test_an_entry_s_digits_are_a_name_that_explain_takes(here: Explained) -> None:
    await here.bench.rate(call())
    digits = str(charge_id(str(call().call_id)))[:8]
    (line,) = [
        line
        for line in (await here.operator.run(account, "1001")).stdout.splitlines()
        if " charge " in line
    ]
    assert line.endswith(digits)
    assert "charged 0.01 CAD" in await here.operator.output(explain, digits)


async def test_entries_that_are_left_out_are_a_line_of_the_table(here: Explained) -> None:
    await here.bench.pay(payment("k", 5_000_000))
    await here.bench.rate(*(call(number) for number in range(1, 8)))
    output = (await here.operator.run(account, "1001", "--limit", "3", "--utc")).stdout
    joined = " ".join(output.split())
    assert "opening 0.00 … 5 earlier entries, together 4.96 4.96" in joined
    assert "Times are in UTC. 3 of 8 entries; --limit shows more. They add up." in joined
    assert amounts(output) == [4_960_000, -10_000, -10_000, -10_000]
    assert sum(amounts(output)) == await here.bench.balance()
    whole = (await here.operator.run(account, "1001", "--limit", "8")).stdout
    assert "earlier" not in whole
    assert "of 8 entries" not in whole


async def test_the_table_adds_up_with_one_kind_of_entry_too(here: Explained) -> None:
    await here.bench.pay(payment("k", 5_000_000), payment("m", 1_000_000))
    await here.bench.rate(call(1), call(2))
    output = (await here.operator.run(account, "1001", "--kind", "charge", "--limit", "1")).stdout
    joined = " ".join(output.split())
    assert "… 3 entries not shown, together 5.99" in joined
    assert "1 of 4 entries; --limit shows more." in joined
    assert sum(amounts(output)) == await here.bench.balance()
    output = await here.operator.output(account, "1001", "--kind", "charge")
    assert "2 of 4 entries. " in output


async def test_more_entries_than_one_page_are_read_once_each(here: Explained) -> None:
    await here.bench.rate(*(call(number) for number in range(1, 1204)))
    found = await here.operator.json(account, "1001", "--limit", "1201")
    assert [entry["version"] for entry in found["entries"]] == list(range(3, 1204))
    output = (await here.operator.run(account, "1001", "--limit", "1201")).stdout
    assert "… 2 earlier entries" in " ".join(output.split())
    assert sum(amounts(output)) == await here.bench.balance()


@pytest.mark.usefixtures("toronto")
async def test_a_period_is_typed_in_the_zone_in_which_times_are_shown(here: Explained) -> None:
    await here.bench.rate(call(1), call(2))
    await here.bench.sql(
        "update rating.ledger set posted_at = $1::timestamptz + version * interval '2 hours'",
        datetime(2026, 12, 1, 2, tzinfo=UTC),
    )
    local = await here.operator.output(account, "1001", "--since", "2026-12-01")
    assert "opening -0.01 " in local
    assert "12-01 01:00 charge" in local
    assert "Times are in EST/EDT. 1 entry." in local
    utc = await here.operator.output(account, "1001", "--utc", "--since", "2026-12-01")
    assert "opening 0.00 " in utc
    assert "12-01 04:00 charge" in utc
    none = await here.operator.output(account, "1001", "--since", "2100-01-01")
    assert "opening -0.02 closing 0.00 -0.02 Times are" in none
    assert "0 entries. They add up." in none


async def test_a_balance_that_differs_from_its_entries_is_reported_and_fails(
    here: Explained,
) -> None:
    await here.bench.rate(call())
    await here.bench.sql("update rating.account set balance_micro = 5")
    output = await here.operator.output(account, "1001", status=1)
    assert "They do not add up: all entries come to -0.01, the balance is 0.000005" in output
    assert "They add up" not in output
    assert (await here.operator.json(account, "1001", status=1))["differs"]


async def test_an_unknown_client_and_a_bad_period_are_refused_in_words(here: Explained) -> None:
    output = await here.operator.output(account, "nobody", status=2)
    assert "there is no client 'nobody'" in output
    output = await here.operator.output(account, "1001", "--since", "soon", status=2)
    assert "--since 'soon'" in output


async def test_an_operator_with_only_a_token_in_an_empty_folder_can_ask(
    here: Explained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No database, no broker, no settings: as at his desk."""
    for name in [name for name in os.environ if name.startswith("RINGFENCE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    await here.bench.rate(call())
    monkeypatch.setenv("RINGFENCE_API", here.api.url)
    monkeypatch.setenv("RINGFENCE_TOKEN", TOKEN)
    for command, asked, words in (
        (explain, str(call().call_id), "charged 0.01 CAD"),
        (account, "1001", "They add up."),
    ):
        result = await asyncio.to_thread(CliRunner().invoke, command, [asked])
        assert result.exit_code == 0, result.output
        assert words in " ".join(result.output.split())

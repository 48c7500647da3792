"""The operators' commands, against the real API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ringfence_cli.clients.clients import client
from ringfence_cli.clients.suspension import services
from ringfence_cli.operations.calls import calls, unrated
from ringfence_cli.payments.money import ledger
from ringfence_cli.payments.topup import topup
from ringfence_cli.products import product
from ringfence_cli.tariffs.packages import package
from ringfence_cli.tariffs.tariffs import tariff
from tests.support.accounts import CARD, TOKEN, RunningApi, running_api

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        await opened.client()
        yield opened


@pytest.fixture
def run(api: RunningApi) -> Run:
    environment = {"RINGFENCE_API": api.url, "RINGFENCE_TOKEN": TOKEN}

    async def invoke(command: click.Command, *arguments: str, **changes: str) -> Result:
        runner = CliRunner(env={**environment, **changes})
        return await asyncio.to_thread(runner.invoke, command, arguments)

    return invoke


async def test_a_client_is_set_listed_and_shown(run: Run) -> None:
    made = await run(
        client, "set", "bert", "--first-name", "Bert [red]", "--email", "b@example.com",
        "--currency", "CAD", "--has-voip-service", "yes",
    )  # fmt: skip
    changed = await run(client, "set", "bert", "--low-balance-threshold", "1,500")
    listed = await run(client, "list")
    machine = await run(client, "list", "--json")
    assert (made.exit_code, changed.exit_code) == (0, 0), made.output + changed.output
    assert "Bert [red]" in listed.stdout
    assert "2 clients." in listed.stdout
    thresholds = {
        row["account_id"]: row["low_balance_threshold"] for row in json.loads(machine.stdout)
    }
    assert thresholds == {"anna": "$15", "bert": "1,500"}
    assert max(map(len, listed.stdout.splitlines())) <= 80
    shown = json.loads((await run(client, "show", "bert", "--json")).stdout)
    assert (shown["first_name"], shown["has_voip_service"]) == ("Bert [red]", True)


async def test_a_top_up_prints_its_key_and_is_not_posted_twice_with_it(
    run: Run, api: RunningApi
) -> None:
    first = await run(topup, "anna", "20.00", "--no-wait")
    key = first.stderr.split()[1]
    again = await run(topup, "anna", "20.00", "--key", key, "--json", "--no-wait")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert json.loads(again.stdout)["idempotency_key"] == key
    events = await api.published("payment.received.v1")
    assert [each["amount_micro"] for each in events if each["kind"] == "top-up"] == [20_000_000]


async def test_a_negative_adjustment_can_be_typed(run: Run) -> None:
    posted = await run(topup, "anna", "-3.50", "--adjustment", "--json", "--no-wait")
    assert json.loads(posted.stdout)["amount_micro"] == -3_500_000


async def test_a_refusal_exits_2_and_says_why(run: Run) -> None:
    zero = await run(topup, "anna", "0")
    unknown = await run(ledger, "nobody")
    assert (zero.exit_code, unknown.exit_code) == (2, 2)
    assert "more than 0" in zero.stderr
    assert "nobody" in unknown.stderr


async def test_a_wrong_token_exits_2_and_names_the_setting(run: Run) -> None:
    refused = await run(client, "list", RINGFENCE_TOKEN="another-token")
    assert refused.exit_code == 2
    assert "RINGFENCE_TOKEN" in refused.stderr
    assert "another-token" not in refused.output


async def test_an_unreachable_api_exits_3(run: Run, free_port: int) -> None:
    missed = await run(client, "list", RINGFENCE_API=f"http://127.0.0.1:{free_port}")
    assert missed.exit_code == 3
    assert "RINGFENCE_API" in missed.stderr


async def test_the_running_stack_is_found_from_a_folder_below_it(
    run: Run, api: RunningApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ringfence").mkdir()
    tokens = tmp_path / ".ringfence" / "tokens"
    tokens.write_text(f"local:{TOKEN}\n")
    port = int(api.url.rpartition(":")[2])
    stack = {"ports": {"accounts": port}, "tokens_file": str(tokens)}
    (tmp_path / ".ringfence" / "stack.json").write_text(json.dumps(stack))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    found = await run(client, "list", RINGFENCE_API="", RINGFENCE_TOKEN="")
    assert found.exit_code == 0, found.output


async def test_typed_text_stays_in_its_part_of_the_path(run: Run) -> None:
    for typed in ("../packages", "a/b", "a?limit=1", "a%00b", "a\nb"):
        refused = await run(ledger, typed)
        assert refused.exit_code == 2, refused.output


async def test_products_packages_and_tariffs(run: Run, tmp_path: Path) -> None:
    card = tmp_path / "card.csv"
    card.write_text(CARD)
    imported = await run(tariff, "import", "retail", str(card), "--currency", "CAD", "--yes")
    packaged = await run(package, "set", "standard", "tariff_id=retail", "markup_percent=90")
    entered = await run(
        product, "set", "anna", "pbx-1", "--kind", "fusionpbx", "--server", "wat5",
        "--package", "standard", "--field", "extensions=2112 | 2113",
        "--field", "Domain/Tenant and main DID(s)=mcon.wat5.ictvoip.ca | 5192229000",
    )  # fmt: skip
    for result in (imported, packaged, entered):
        assert result.exit_code == 0, result.output
    assert "under 100" in packaged.stderr
    assert "mcon.wat5.ictvoip.ca" in (await run(product, "list", "anna")).stdout
    assert "retail" in (await run(tariff, "list")).stdout
    malformed = await run(
        product, "set", "anna", "pbx-1", "--kind", "fusionpbx", "--server", "wat5",
        "--field", "extensions=2112 to 2116",
        "--field", "domain_tenant_and_main_dids=mcon.wat5.ictvoip.ca | 5192229000",
    )  # fmt: skip
    assert malformed.exit_code == 2
    assert "2112 | 2113" in malformed.stderr
    changed = await run(package, "set", "standard", "markup_percent=120", "--json")
    answer = json.loads(changed.stdout)
    assert (answer["markup_percent"], answer["accounts_told"]) == ("120", 1)


async def test_bad_rows_of_a_tariff_are_listed_by_line(run: Run, tmp_path: Path) -> None:
    card = tmp_path / "card.csv"
    card.write_text(CARD + "Nowhere,12a4,0.1,6\nFree,1999,free,6\n")
    refused = await run(tariff, "import", "retail", str(card), "--currency", "CAD", "--yes")
    assert refused.exit_code == 2
    assert "line 5: Prefix" in refused.stderr
    assert "line 6: RateValue" in refused.stderr


@pytest.mark.parametrize("command", [[ledger, "anna"], [calls, "anna"], [services], [unrated]])
async def test_empty_lists_say_so(run: Run, command: list[object]) -> None:
    empty = await run(*command)
    machine = await run(*command, "--json")
    assert empty.exit_code == 0, empty.output
    assert len(empty.stdout.splitlines()) == 1
    assert json.loads(machine.stdout) == []

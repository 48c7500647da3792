"""What an operator looks at first: who is off, who runs out first, money and pace."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.accounts.test_overview import balance, client, get, level, switched
from tests.support.accounts import RunningApi, running_api


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


async def charged(api: RunningApi, who: str, *entries: tuple[int, str, str]) -> None:
    """Insert entries: amount, kind, and how long ago they were posted."""
    after = 0
    for version, (amount, kind, ago) in enumerate(entries, 1):
        after += amount
        await api.database.execute(
            "insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
            " balance_after_micro, occurred_at, posted_at, explanation, cause_id,"
            " input_hash)"
            " values ($1, $2, gen_random_uuid(), $3, $4, $5, now() - $6::text::interval,"
            " now() - $6::text::interval, '{}', gen_random_uuid(), '')",
            who, version, kind, amount, after, ago,
        )  # fmt: skip


async def three_clients(api: RunningApi) -> None:
    for who, micro, named in (("rich", 90_000_000, "ok"), ("low", 3_000_000, "low"),
                              ("off", -1, "exhausted")):  # fmt: skip
        await client(api, who)
        await balance(api, who, micro)
        await level(api, who, named)
    await switched(api, "off", "pbx-off", "suspended", "suspended")


async def situation(api: RunningApi, **params: object) -> dict[str, Any]:
    return await get(api, "situation", **params)


async def test_who_needs_help_first_is_listed_first_and_every_kind_is_counted(
    api: RunningApi,
) -> None:
    await three_clients(api)
    found = await situation(api, limit=2)
    assert [(each["account_id"], each["kind"]) for each in found["clients"]] == [
        ("off", "off"), ("low", "low"),
    ]  # fmt: skip
    assert {kind: n for kind, n in found["kinds"].items() if n} == {"off": 1, "low": 1, "ok": 1}
    assert list(found["kinds"]) == [
        "failed", "off", "would be off", "exhausted", "switching", "metered", "low", "ok",
    ]  # fmt: skip


async def test_with_no_client_listed_all_are_counted(api: RunningApi) -> None:
    assert (await situation(api))["clients"] == []
    await three_clients(api)
    found = await situation(api, limit=0)
    assert found["clients"] == []
    assert sum(found["kinds"].values()) == 3


async def test_the_pace_is_of_the_entries_of_the_last_day_and_week(api: RunningApi) -> None:
    await three_clients(api)
    await charged(
        api, "low", (20_000_000, "top-up", "20 days"), (-9_000_000, "charge", "10 days"),
        (-7_000_000, "charge", "3 days"), (-1_500_000, "charge", "2 hours"),
        (500_000, "reversal", "1 hour"),
    )  # fmt: skip
    burn = await get(api, "clients/low/burn")
    assert (burn["day"], burn["week"], burn["pace"]) == ("1.00", "8.00", "1.142857")
    assert burn["credit"] == "3.00"
    assert burn["out_at"] is not None
    assert (await get(api, "clients/rich/burn"))["out_at"] is None
    listed = {client["account_id"]: client for client in (await get(api, "clients"))["items"]}
    assert listed["low"]["pace"] == burn["pace"]
    apart = datetime.fromisoformat(listed["low"]["out_at"]) - datetime.fromisoformat(burn["out_at"])
    assert abs(apart) < timedelta(minutes=5)
    assert listed["rich"]["out_at"] is None


async def test_the_money_of_today_begins_at_midnight_of_the_zone(api: RunningApi) -> None:
    await three_clients(api)
    await charged(api, "low", (9_000_000, "top-up", "40 hours"), (-2_000_000, "charge", "0 s"))
    for zone in ("UTC", "Pacific/Auckland"):
        (money,) = (await situation(api, zone=zone))["money"]
        assert (money["charged"], money["paid_in"]) == ("2.00", "0.00")
    refused = await api.http.get("/v1/situation", params={"zone": "Mars/Olympus"})
    assert refused.status_code == 422
    assert "America/Toronto" in refused.text


async def test_a_client_that_does_not_exist_has_no_pace(api: RunningApi) -> None:
    assert (await api.http.get("/v1/clients/nobody/burn")).status_code == 404

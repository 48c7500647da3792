"""Versions of a tariff: dry runs, effective instants, rollbacks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ringfence_testing.wait import until
from tests.support.accounts import CARD, RunningApi, running_api

URL = "/v1/tariffs/retail/versions"
TARIFF = "tariff.published.v1"
DEARER = CARD.replace("0.0100", "0.02").replace("Albania,35544416", "Kosovo,383")


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


def away(**distance: float) -> str:
    """An instant at this distance from now, as it is typed."""
    return (datetime.now(UTC) + timedelta(**distance)).isoformat()


async def put_version(api: RunningApi, text: str = CARD, **query: Any) -> dict[str, Any]:
    """Import a file that is accepted; returns the response."""
    answer = await api.http.post(URL, params={"currency": "CAD", **query}, content=text.encode())
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(api: RunningApi, text: str, status: int = 422, **query: Any) -> dict[str, Any]:
    """Import a file that is refused; returns the error."""
    answer = await api.http.post(URL, params={"currency": "CAD", **query}, content=text.encode())
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def rolled_back(api: RunningApi, status: int = 201, **body: Any) -> dict[str, Any]:
    """Roll back; returns the response, or the error."""
    answer = await api.http.post("/v1/tariffs/retail/rollback", json=body)
    assert answer.status_code == status, answer.text
    body_of: dict[str, Any] = answer.json()
    found: dict[str, Any] = body_of.get("error", body_of)
    return found


async def written(api: RunningApi) -> list[object]:
    """The contents of every table that an import writes."""
    tables = ("tariff_version", "tariff_rate", "tariff_mapping", "outbox")
    return [
        tuple(row.values())
        for table in tables
        for row in await api.database.fetch(f"select * from accounts.{table} order by 1, 2")
    ]


async def states(api: RunningApi) -> dict[int, str]:
    items = (await api.http.get(URL)).json()["items"]
    return {item["version_id"]: item["state"] for item in items}


async def test_a_dry_run_shows_what_would_change_and_writes_nothing(api: RunningApi) -> None:
    first = await put_version(api)
    before = await written(api)
    tried = await put_version(
        api, DEARER.replace("Prefix", "Code"), dry_run="true", map="Prefix=Code"
    )
    assert await written(api) == before
    assert (tried["version_id"], tried["dry_run"], tried["new"]) == (None, True, True)
    assert tried["diff"]["base"] == first["version_id"]
    assert tried["diff"]["counts"] == {
        "added": 1, "removed": 1, "dearer": 1, "cheaper": 0, "changed": 0, "same": 1,
    }  # fmt: skip
    assert tried["diff"]["largest"][-1] == {
        "kind": "dearer",
        "prefix": "1",
        "before": {"description": "Canada", "rate": "0.01", "increment": "6/6", "status": 1},
        "after": {"description": "Canada", "rate": "0.02", "increment": "6/6", "status": 1},
    }


async def test_a_dry_run_of_a_first_version_needs_nothing_before_it(api: RunningApi) -> None:
    tried = await put_version(api, dry_run="true")
    assert (tried["diff"]["base"], tried["diff"]["counts"]["added"]) == (None, 3)
    assert await written(api) == []


@pytest.mark.parametrize("dry_run", ["true", "false"])
async def test_a_bad_row_changes_nothing(api: RunningApi, dry_run: str) -> None:
    await put_version(api)
    before = await written(api)
    bad = DEARER.replace("Prefix", "Code") + "Nowhere,12a4,0.1,6\n"
    error = await refused(api, bad, map="Prefix=Code", dry_run=dry_run)
    assert [(row["line"], row["field"]) for row in error["rows"]] == [(5, "Prefix")]
    assert await written(api) == before


async def test_a_duplicate_prefix_is_reported_with_both_lines(api: RunningApi) -> None:
    text = CARD + "Bad,x,0.1,6\nAgain,1416,0.1,6\nBad,y,0.1,6\nOnce more,1416,0.008,30/6\n"
    error = await refused(api, text)
    assert [row["line"] for row in error["rows"]] == [5, 6, 7, 8]
    assert error["bad_rows"] == 4
    assert "line 3" in error["rows"][1]["expected"]
    assert "line 3" in error["rows"][3]["expected"]


async def test_the_first_hundred_bad_rows_are_listed_by_line(
    api: RunningApi,
) -> None:
    rows = "".join(f"A,{1 if n % 2 else 'x'},0.1,6\n" for n in range(500))
    error = await refused(api, CARD + rows)
    assert error["bad_rows"] == 500
    assert [row["line"] for row in error["rows"]] == list(range(5, 105))


async def test_a_file_in_latin_1_is_refused_with_line_and_byte(api: RunningApi) -> None:
    answer = await api.http.post(
        URL, params={"currency": "CAD"}, content=CARD.replace("Canada", "Québec").encode("latin-1")
    )
    assert answer.status_code == 422
    assert "line 2, byte 3: 0xE9" in answer.json()["error"]["message"]


async def test_formula_text_is_kept_as_data(api: RunningApi) -> None:
    await put_version(api, CARD.replace("Canada", "=cmd()"))
    (row,) = (await api.http.get("/v1/tariffs/retail/rates", params={"starts": "14"})).json()[
        "items"
    ]
    found = await api.http.get("/v1/tariffs/retail/rate", params={"number": "+15195550100"})
    assert row["prefix"] == "1416"
    assert found.json()["rate"]["description"] == "=cmd()"


async def test_decimal_commas_and_semicolons(api: RunningApi) -> None:
    text = "Description;Prefix;RateValue;Increment\r\nCanada;1;,01;6\r\n"
    assert (await refused(api, text))["field"] == "RateValue"
    await put_version(api, text, decimal="comma")
    found = await api.http.get("/v1/tariffs/retail/rate", params={"number": "1"})
    assert found.json()["rate"]["rate"] == "0.01"


async def test_remarks_are_stored_and_restored(api: RunningApi) -> None:
    lines = CARD.splitlines()
    text = "\n".join([f"{lines[0]},OldRate,ShortDescription", *(f"{x},9.9,S" for x in lines[1:])])
    first = await put_version(api, text)
    await put_version(api, DEARER)
    await rolled_back(api, to=first["version_id"])
    found = await api.http.get("/v1/tariffs/retail/rate", params={"number": "1416"})
    rate = found.json()["rate"]
    assert (rate["old_rate"], rate["short_description"], rate["rate_premium"]) == ("9.9", "S", None)


async def test_a_mapping_is_stored_shown_and_changed(api: RunningApi) -> None:
    text = CARD.replace("Prefix,RateValue", "Code,Price")
    first = await put_version(api, text, map=["Prefix=Code", "RateValue=Price"])
    assert (first["columns"]["Prefix"], first["columns"]["Increment"]) == ("Code", "Increment")
    again = await put_version(api, text.replace("0.0100", "0.02"))
    assert again["version_id"] > first["version_id"]
    lacking = await refused(api, text.replace("Price", "Cost"))
    assert "Price (mapped to RateValue)" in lacking["expected"]
    assert "Description, Code, Cost, Increment" in lacking["value"]
    await put_version(api, text.replace("Price", "Cost"), map="RateValue=Cost")
    place = "/v1/tariffs/retail/mapping"
    assert (await api.http.get(place)).json()["RateValue"] == "Cost"
    await put_version(api, CARD, map=["Prefix=", "RateValue=RateValue"])
    assert await api.database.fetchval("select columns from accounts.tariff_mapping") == "{}"
    set_by_hand = await api.http.put(place, json={"Prefix": "Dial"})
    assert set_by_hand.json()["Prefix"] == "Dial"
    assert "Dial" in (await refused(api, CARD))["expected"]
    other = await api.http.get("/v1/tariffs/wholesale/mapping")
    assert other.json()["Prefix"] == "Prefix"


async def test_a_mapping_of_an_unknown_field_is_refused(api: RunningApi) -> None:
    assert (await refused(api, CARD, map="Code=Prefix"))["field"] == "map"
    for body in ({"Code": "Prefix"}, {"Prefix=a": "b"}, {"Prefix": "a", "prefix": "b"}):
        wrong = await api.http.put("/v1/tariffs/retail/mapping", json=body)
        assert wrong.status_code == 422
    assert await written(api) == []


async def test_a_version_is_compared_with_the_one_in_force_at_its_instant(
    api: RunningApi,
) -> None:
    past = await put_version(api, effective_from=away(days=-10))
    coming = await put_version(api, DEARER, effective_from=away(days=10))
    now = await put_version(api, DEARER)
    between = await put_version(api, effective_from=away(days=-5))
    assert [v["diff"]["base"] for v in (past, coming, now, between)] == [
        None, past["version_id"], past["version_id"], past["version_id"],
    ]  # fmt: skip
    assert await states(api) == {
        past["version_id"]: "past",
        between["version_id"]: "past",
        now["version_id"]: "in force",
        coming["version_id"]: "to come",
    }
    assert "in the past" in past["warnings"][0]
    assert f"version {now['version_id']} takes over" in between["warnings"][1]
    shown = await api.http.get("/v1/tariffs/retail/version")
    assert shown.json()["version_id"] == now["version_id"]


async def test_an_instant_outside_the_years_1_to_9999_is_refused(api: RunningApi) -> None:
    error = await refused(api, CARD, effective_from="9999-12-31T23:59:59-12:00")
    assert error["field"] == "effective_from"


async def test_the_same_rows_from_the_same_instant_are_one_version(api: RunningApi) -> None:
    at, later = away(days=1), away(days=2)
    first = await put_version(api, effective_from=at)
    again = await put_version(api, CARD.replace("0.0100", ".01"), effective_from=at)
    other = await put_version(api, effective_from=later)
    assert (again["version_id"], again["new"]) == (first["version_id"], False)
    assert other["version_id"] != first["version_id"]
    assert len(await api.published(TARIFF)) == 2


async def test_rows_that_were_replaced_at_their_instant_make_a_new_version(api: RunningApi) -> None:
    """The old version is in force at no instant, so a new one is made."""
    at = away(days=-1)
    first = await put_version(api, effective_from=at)
    await put_version(api, DEARER, effective_from=at)
    third = await put_version(api, effective_from=at)
    assert third["new"]
    assert await states(api) == {1: "never", 2: "never", 3: "in force"}
    assert third["version_id"] != first["version_id"]


async def test_rows_of_a_future_version_can_be_imported_now(api: RunningApi) -> None:
    await put_version(api)
    await put_version(api, DEARER, effective_from=away(days=1))
    now = await put_version(api, DEARER)
    assert now["new"]
    assert (await api.http.get("/v1/tariffs/retail/version")).json()["version_id"] == 3


async def test_a_version_other_than_the_confirmed_one_is_refused(api: RunningApi) -> None:
    tried = await put_version(api, DEARER, dry_run="true")
    seen = {"base": 0, "sha256": tried["sha256"]}
    assert (await refused(api, CARD, 409, **seen))["field"] == "sha256"
    first = await put_version(api)
    assert (await refused(api, DEARER, 409, **seen))["field"] == "base"
    made = await put_version(api, DEARER, base=first["version_id"], sha256=tried["sha256"])
    assert made["new"]


async def test_concurrent_imports_of_one_tariff_are_serialized(api: RunningApi) -> None:
    files = [CARD.replace("0.0100", f"0.{n}") for n in range(1, 9)]
    made = await asyncio.gather(*(put_version(api, text) for text in files))
    made.sort(key=lambda version: version["version_id"])
    assert [v["diff"]["base"] for v in made] == [None, *(v["version_id"] for v in made[:-1])]
    assert [v["effective_from"] for v in made] == sorted(v["effective_from"] for v in made)
    assert [t["version_id"] for t in await api.published(TARIFF)] == [v["version_id"] for v in made]


async def test_a_rollback_is_a_new_version_with_the_rows_of_the_one_before(
    api: RunningApi,
) -> None:
    first = await put_version(api, name="Retail")
    second = await put_version(api, DEARER)
    before = await written(api)
    tried = await rolled_back(api, 200, dry_run=True)
    assert await written(api) == before
    assert tried["diff"]["counts"]["cheaper"] == 1
    back = await rolled_back(api)
    assert (back["restores"], back["diff"]["base"]) == (first["version_id"], second["version_id"])
    assert (back["sha256"], back["rows"], back["name"]) == (first["sha256"], 3, "Retail")
    assert [t["version_id"] for t in await api.published(TARIFF)] == [1, 2, 3]
    same = await api.http.get("/v1/tariffs/retail/diff", params={"old": 1, "new": 3})
    assert same.json()["counts"]["same"] == 3
    assert (await rolled_back(api))["restores"] == second["version_id"]


async def test_a_rollback_to_a_version_takes_effect_at_its_instant(
    api: RunningApi,
) -> None:
    first = await put_version(api)
    for rate in ("0.02", "0.03"):
        await put_version(api, CARD.replace("0.0100", rate))
    at = away(days=3)
    back = await rolled_back(api, to=first["version_id"], effective_from=at)
    assert back["sha256"] == first["sha256"]
    assert (await states(api))[back["version_id"]] == "to come"
    again = await rolled_back(api, 200, to=first["version_id"], effective_from=at)
    assert (again["version_id"], again["new"]) == (back["version_id"], False)


async def test_a_rollback_to_an_unknown_version_is_refused(api: RunningApi) -> None:
    assert (await rolled_back(api, 404))["field"] == "version"
    await put_version(api)
    assert (await rolled_back(api, 404))["field"] == "version"
    await api.http.post("/v1/tariffs/other/versions", params={"currency": "CAD"}, content=CARD)
    assert (await rolled_back(api, 404, to=2))["value"] == "2"
    assert len(await api.published(TARIFF)) == 2


async def test_the_row_that_a_number_matches_has_the_longest_prefix(api: RunningApi) -> None:
    await put_version(api)
    await put_version(api, CARD.replace("Toronto,1416", "Toronto,1647"))
    place = "/v1/tariffs/retail/rate"

    async def prefix(number: str, **params: Any) -> str | None:
        answer = await api.http.get(place, params={"number": number, **params})
        rate = answer.json()["rate"]
        found: str | None = rate and rate["prefix"]
        return found

    assert await prefix("14165550100") == "1"
    assert await prefix("14165550100", version=1) == "1416"
    assert await prefix("1416", version=1) == "1416"
    assert await prefix("141", version=1) == "1"
    assert await prefix("44") is None
    for number in ("", "1-416", "１"):
        assert (await api.http.get(place, params={"number": number})).status_code == 422
    assert (await api.http.get(place, params={"number": "1", "version": 9})).status_code == 404


async def test_rows_and_changes_come_in_pages(api: RunningApi) -> None:
    await put_version(api)
    await put_version(api, DEARER)

    async def paged(what: str, **params: Any) -> list[str]:
        found, cursor = [], None
        while True:
            asked = {**params, "limit": 1, **({"cursor": cursor} if cursor else {})}
            page = (await api.http.get(f"/v1/tariffs/retail/{what}", params=asked)).json()
            found += [row["prefix"] for row in page["items"]]
            if (cursor := page["next"]) is None:
                return found

    assert await paged("rates") == ["1", "1416", "383"]
    assert await paged("rates", version=1, starts="35") == ["35544416"]
    assert await paged("changes", old=1, new=2) == ["1", "35544416", "383"]
    assert await paged("changes", old=1, new=2, kind="removed") == ["35544416"]
    assert await paged("changes", old=1, new=1) == []


async def test_an_aborted_upload_stores_nothing(api: RunningApi) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield CARD.encode()
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await api.http.post(URL, params={"currency": "CAD"}, content=broken())
    assert await written(api) == []
    assert (await put_version(api))["version_id"] == 1


async def test_an_import_is_rolled_back_when_its_event_cannot_be_written(
    api: RunningApi, database: str
) -> None:
    """One transaction: if the event cannot be stored, neither is the version."""
    await put_version(api)
    before = await written(api)
    await api.database.execute(
        "alter table accounts.outbox add constraint no check (false) not valid"
    )
    failed = await api.http.post(URL, params={"map": "Prefix=Prefix"}, content=DEARER)
    assert failed.status_code == 500
    assert await written(api) == before


async def test_payments_are_accepted_while_imports_wait(api: RunningApi, database: str) -> None:
    await api.client()
    holder = await asyncpg.connect(database)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("select pg_advisory_xact_lock(hashtextextended('tariff:retail', 0))")
    imports = [asyncio.create_task(put_version(api, CARD)) for _ in range(12)]

    async def waiting() -> int:
        return int(
            await api.database.fetchval(
                "select count(*) from pg_stat_activity where wait_event = 'advisory'"
                " and datname = current_database()"
            )
        )

    await until(waiting, timeout_s=20)
    paid = await asyncio.wait_for(api.pay("k1", {"amount": "5.00"}), 40)
    assert paid.status_code == 201
    await transaction.rollback()
    await holder.close()
    assert len({made["version_id"] for made in await asyncio.gather(*imports)}) == 1

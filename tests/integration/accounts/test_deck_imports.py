"""Rate decks of carriers by the API: remembered layouts, dates as versions, warnings, export."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringfence_testing.clock import FixedClock
from tests.support.accounts import RunningApi, running_api
from tests.support.workbooks import rows_xml, workbook

CASES = Path(__file__).parents[2] / "cases" / "decks"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HEADER = "Description,Prefix,RateValue,Increment"


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database, clock=FixedClock(NOW)) as opened:
        yield opened


async def imported(
    api: RunningApi, body: bytes, tariff: str = "retail", **query: Any
) -> dict[str, Any]:
    """Import a file that is accepted; returns the response."""
    url = f"/v1/tariffs/{tariff}/versions"
    answer = await api.http.post(url, params={"currency": "CAD", **query}, content=body)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(api: RunningApi, body: bytes, **query: Any) -> dict[str, Any]:
    """Import a file that is refused; returns the error."""
    url = "/v1/tariffs/retail/versions"
    answer = await api.http.post(url, params={"currency": "CAD", **query}, content=body)
    assert answer.status_code == 422, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def rows_in(api: RunningApi, version_id: int) -> Mapping[str, str]:
    """The rates of a version by prefix; a blocked row's is `blocked`."""
    rows = await api.database.fetch(
        "select prefix, rate, status from accounts.tariff_rate where version_id = $1", version_id
    )
    return {r["prefix"]: "blocked" if r["status"] == 2 else r["rate"] for r in rows}


async def test_a_layout_is_remembered_with_the_tariff_and_shared_by_its_name(
    api: RunningApi,
) -> None:
    body = (CASES / "02-three-columns.csv").read_bytes()
    options: dict[str, Any] = {
        "map": ["Description=Destination", "Prefix=Dial Code", "RateValue=Rate"]
    }
    tried = await imported(api, body, **options, increment="60", layout="lyria", dry_run=True)
    assert tried["dry_run"]
    assert "Dial Code" in (await refused(api, body))["value"]
    await imported(api, body, **options, increment="60", layout="lyria")
    again = await imported(api, body.replace(b"0.201", b"0.3"))
    assert (again["new"], again["layout"]) == (True, "lyria")
    other = await imported(api, body, "wholesale", layout="lyria")
    assert other["rows"] == 3
    layout = (await api.http.get("/v1/tariffs/wholesale/layout")).json()
    assert layout == {
        "name": "lyria",
        "columns": {"Prefix": "Dial Code", "RateValue": "Rate", "Description": "Destination"},
        "increment": "60",
    }
    await api.http.delete("/v1/tariffs/wholesale/layout")
    assert (await api.http.get("/v1/tariffs/wholesale/layout")).json()["columns"] == {}
    assert (await api.http.get("/v1/tariffs/retail/layout")).json() == layout


async def test_columns_that_nothing_reads_are_named_once_and_asked_for_again_when_more_come(
    api: RunningApi,
) -> None:
    body = f"{HEADER},Surcharge\nUK,44,0.02,60,0.05\n".encode()
    error = await refused(api, body)
    assert (error["field"], error["value"]) == ("ignore_columns", "Surcharge")
    assert '--map "ConnectionFee=Surcharge"' in error["expected"]
    answer = await imported(api, body, ignore_columns="surcharge")
    assert answer["unused_columns"] == ["Surcharge"]
    await imported(api, body.replace(b"0.02", b"0.03"))
    more = body.replace(b"Surcharge\n", b"Surcharge,Status 2\n").replace(b"0.05\n", b"0.05,x\n")
    assert (await refused(api, more))["value"] == "Status 2"


async def test_dates_become_complete_versions_each_made_from_the_one_before(
    api: RunningApi,
) -> None:
    old = f"{HEADER}\nGermany,49,0.5,60\nPoland,48,0.4,60\nItaly,39,0.3,60\n".encode()
    await imported(api, old, effective_from="2026-01-01T00:00:00Z")
    dated = (
        f"{HEADER},Effective Date,End Date\n"
        "Spain,34,0.1,60,,\n"
        "Spain,34,0.2,60,2027-01-01,\n"
        "Germany,49,0.6,60,2027-01-01,\n"
        "Poland,48,0.7,60,2027-02-01,\n"
        "Offer,341,0.05,60,2027-01-01,2027-01-31\n"
        "Past,351,0.9,60,2020-01-01,2020-12-31\n"
    ).encode()
    tried = await imported(api, dated, zone="America/Toronto", dry_run=True)
    made = await imported(api, dated, zone="America/Toronto", sha256=tried["digest"])
    instants = [made["effective_from"], *(each["effective_from"] for each in made["later"])]
    assert instants == ["2026-11-27T12:00:00Z", "2027-01-01T05:00:00Z", "2027-02-01T05:00:00Z"]
    assert [each["rows"] for each in tried["later"]] == [each["rows"] for each in made["later"]]
    ids = [made["version_id"], *(each["version_id"] for each in made["later"])]
    assert [await rows_in(api, each) for each in ids] == [
        {"34": "0.1", "49": "0.5", "48": "0.4"},
        {"34": "0.2", "49": "0.6", "48": "0.4", "341": "0.05"},
        {"34": "0.2", "49": "0.6", "48": "0.7"},
    ]
    counts = [each["diff"]["counts"] for each in made["later"]]
    assert [(c["added"], c["removed"], c["dearer"]) for c in counts] == [(1, 0, 2), (0, 1, 1)]
    assert len(await api.published("tariff.published.v1")) == 4
    again = await imported(api, dated)
    assert (again["new"], [each["new"] for each in again["later"]]) == (False, [False, False])
    assert len(await api.published("tariff.published.v1")) == 4


async def test_a_file_whose_rows_are_all_to_come_leaves_the_version_in_force_alone(
    api: RunningApi,
) -> None:
    old = await imported(api, f"{HEADER}\nItaly,39,0.3,60\n".encode())
    body = f"{HEADER},Effective Date\nSpain,34,0.1,60,2027-01-01\n".encode()
    made = await imported(api, body)
    assert (made["effective_from"], made["later"]) == ("2027-01-01T00:00:00Z", [])
    assert await rows_in(api, made["version_id"]) == {"34": "0.1"}
    in_force = (await api.http.get("/v1/tariffs/retail/version")).json()
    assert in_force["version_id"] == old["version_id"]


async def test_dates_that_cannot_be_versions_are_refused(api: RunningApi) -> None:
    header = f"{HEADER},Effective Date,End Date\n"
    days = "".join(f"A,{34 + n},0.1,60,2027-{n + 1:02}-01,\n" for n in range(12))
    assert len((await imported(api, f"{header}{days}".encode(), dry_run=True))["later"]) == 11
    many = await refused(api, f"{header}{days}B,99,1,60,2028-01-01,\n".encode())
    assert "at most 12 distinct dates" in many["expected"]
    ended = await refused(api, f"{header}A,34,0.1,60,,2027-01-31\n".encode())
    assert (ended["field"], "in force afterwards" in ended["expected"]) == ("EndDate", True)
    twice = f"{header}A,34,0.1,60,2027-01-01,\nA,34,0.2,60,2027-01-01,\n"
    assert (await refused(api, twice.encode()))["rows"][0]["line"] == 3


async def test_doubtful_decks_are_imported_with_warnings_and_the_prices_of_calls(
    api: RunningApi,
) -> None:
    body = (CASES / "04-area-codes-without-1.csv").read_bytes()
    tried = await imported(api, body, dry_run=True)
    assert any("7 of 7 prefixes look like area codes" in each for each in tried["warnings"])
    assert tried["prices"][0]["calls"] == {"10": "0.00094", "60": "0.0047", "150": "0.01175"}
    first = await imported(api, body, put_in_front="1")
    assert not any("area codes" in each for each in first["warnings"])
    jumped = body.replace(b"0.1290", b"0.5").replace(b"1.1000", b"31.5")
    changed = await imported(api, jumped, dry_run=True)
    assert any("2 rates change by more than 50 %, such as 1900" in w for w in changed["warnings"])
    assert any("rates above 20 a minute: 1, such as 1900" in each for each in changed["warnings"])
    blocked = await imported(api, (CASES / "25-status-words.csv").read_bytes(), "blocked")
    assert any("blocked rows: 2" in each for each in blocked["warnings"])
    assert blocked["prices"][1]["calls"] is None
    assert await rows_in(api, blocked["version_id"]) == {
        "44": "0.019", "252": "blocked", "254": "blocked",
    }  # fmt: skip


async def test_an_exported_deck_is_imported_again_as_the_same_version(api: RunningApi) -> None:
    body = (
        "Destination;Code;Rate;Step;Status;Old Rate;Connection Fee;Maximum cost\n"
        '"Canada; ""north""";1204;0,01;30/6;1;;0,05;2\n=cmd();44;0,5;60;0;x;;\n'
        "C\u00f4te;225;;60;blocked;;;\n"
    ).encode("cp1252")
    made = await imported(
        api, body, map=["Description=Destination", "Prefix=Code", "RateValue=Rate",
                        "Increment=Step"], decimal="comma", encoding="cp1252",
    )  # fmt: skip
    assert made["prices"][0]["calls"] == {"10": "0.055", "60": "0.06", "150": "0.075"}
    rate = (await api.http.get("/v1/tariffs/retail/rate", params={"number": "12045550100"})).json()
    assert (rate["rate"]["connection_fee"], rate["rate"]["maximum_cost"]) == ("0.05", "2")
    exported = await api.http.get("/v1/tariffs/retail/export")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    again = await imported(api, exported.content)
    assert (again["new"], again["sha256"]) == (False, made["sha256"])
    elsewhere = await imported(api, exported.content, "copy")
    assert elsewhere["sha256"] == made["sha256"]
    assert (await api.http.get("/v1/tariffs/none/export")).status_code == 404


async def test_a_workbook_is_imported_and_a_hostile_one_refused(api: RunningApi) -> None:
    rows = rows_xml([["Carrier X"], HEADER.split(","), ["UK", 44, 0.018, 60]])
    made = await imported(api, workbook({"Rates": rows}))
    assert await rows_in(api, made["version_id"]) == {"44": "0.018"}
    assert any("lines above the table" in each for each in made["warnings"])
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="9999"><c r="XFD9999"><v>2</v></c></row>'
    assert (await refused(api, workbook({"S": far})))["field"] == "tariff"
    two = workbook({"A": rows, "B": rows})
    assert (await refused(api, two))["field"] == "sheet"
    assert (await imported(api, two, sheet="B"))["new"] is False

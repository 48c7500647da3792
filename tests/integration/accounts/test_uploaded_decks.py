"""Decks that are uploaded, looked at, and imported later."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from accounts.tariffs.uploads.store import KEPT, MOST
from ringfence_cli.tariffs.tariffs import tariff
from ringfence_testing.clock import FixedClock
from tests.support.accounts import CARD, TOKEN, RunningApi, running_api

DECKS = "/v1/tariffs/retail/decks"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
CARRIER = "Destination,Code,Rate,Increment,Note\nCanada,1,0.02,6,x\nToronto,1416,0.01,6,\n"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
async def api(database: str, clock: FixedClock) -> AsyncIterator[RunningApi]:
    async with running_api(database, clock=clock) as opened:
        yield opened


async def uploaded(api: RunningApi, content: bytes = CARD.encode(), name: str = "a.csv") -> str:
    """Upload a file; its path."""
    answer = await api.http.post(DECKS, params={"file_name": name}, content=content)
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == len(content)
    return f"{DECKS}/{answer.json()['deck_id']}"


async def test_a_deck_of_many_pieces_is_imported_as_it_was_sent(api: RunningApi) -> None:
    rows = "".join(f"Place {n},{n},0.0{n},6\n" for n in range(10_000, 60_000))
    path = await uploaded(api, f"Description,Prefix,RateValue,Increment\n{rows}".encode())
    tried = await api.http.post(f"{path}/versions", params={"currency": "CAD", "dry_run": "true"})
    assert (tried.status_code, tried.json()["rows"]) == (200, 50_000)
    assert await api.database.fetchval("select count(*) from accounts.tariff_version") == 0
    asked = {"currency": "CAD", "base": 0, "sha256": tried.json()["digest"]}
    made = await api.http.post(f"{path}/versions", params=asked)
    assert (made.status_code, made.json()["sha256"]) == (201, tried.json()["digest"])
    again = await api.http.post(f"{path}/versions", params={"currency": "CAD"})
    assert (again.status_code, again.json()["version_id"]) == (200, made.json()["version_id"])


async def test_columns_are_seen_and_proposed_and_nothing_is_refused(api: RunningApi) -> None:
    path = await uploaded(api, CARRIER.encode())
    found = (await api.http.get(f"{path}/columns")).json()
    assert found["missing"] == ["Description", "Prefix", "RateValue"]
    assert [(c["name"], c["fields"], c["how"]) for c in found["columns"]] == [
        ("Destination", ["Description"], "proposed"),
        ("Code", ["Prefix"], "proposed"),
        ("Rate", ["RateValue"], "proposed"),
        ("Increment", ["Increment"], "own name"),
        ("Note", [], None),
    ]
    assert found["columns"][0]["examples"] == ["Canada", "Toronto"]
    chosen = {
        "map": ["Description=Destination", "Prefix=Code", "RateValue=#3"],
        "ignore_columns": "Note",
    }
    found = (await api.http.get(f"{path}/columns", params=chosen)).json()
    assert (found["missing"], found["open"]) == ([], [])
    assert [c["how"] for c in found["columns"]] == ["mapped"] * 3 + ["own name", None]
    assert await api.database.fetchval("select count(*) from accounts.tariff_mapping") == 0
    own = await uploaded(api)
    found = (await api.http.get(f"{own}/columns", params=chosen)).json()
    assert found["columns"][1]["fields"] == ["Prefix"], "proposed by its own name"
    assert found["columns"][1]["how"] == "proposed"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Rates;;;\nDestination;Code;Rate;Steps\nCanada;1;0,1;6\n", ["Destination", "Code"]),
        ("Canada,1,0.1,6\nToronto,1416,0.2,6\n", ["#1", "#2"]),
        ("A,A,,B\n1,2,3,4\n", ["A", "A"]),
        ('"unended\n', ["unended"]),
    ],
    ids=["a title that is filled up", "no header", "a name twice", "a quote without an end"],
)
async def test_any_text_has_columns(api: RunningApi, text: str, names: list[str]) -> None:
    path = await uploaded(api, text.encode())
    answer = await api.http.get(f"{path}/columns")
    if answer.status_code == 422:
        assert answer.json()["error"]["field"] == "header"
        return
    columns = answer.json()["columns"]
    assert [column["name"] for column in columns][: len(names)] == names
    references = [column["reference"] for column in columns]
    assert len(set(references)) == len(references), "each can be mapped by itself"


async def test_a_name_with_a_comma_may_be_passed_over(api: RunningApi) -> None:
    text = 'Description,Prefix,RateValue,Increment,"Note, of ours"\nCanada,1,0.01,6,x\n'
    path = await uploaded(api, text.encode())
    asked = {"currency": "CAD", "dry_run": "true", "ignore_columns": '"Note, of ours"'}
    answer = await api.http.post(f"{path}/versions", params=asked)
    assert answer.json()["unused_columns"] == ["Note, of ours"], answer.text


async def test_a_deck_is_of_one_tariff_is_kept_for_a_day_and_is_deleted(
    api: RunningApi, clock: FixedClock
) -> None:
    path = await uploaded(api)
    assert (await api.http.get(path.replace("retail", "other"))).status_code == 404
    assert (await api.http.delete(await uploaded(api))).status_code == 204
    assert len((await api.http.get(DECKS)).json()["items"]) == 1
    clock.move(seconds=KEPT.total_seconds() + 1)
    assert (await api.http.get(f"{path}/columns")).status_code == 404
    assert (await api.http.get(DECKS)).json()["items"] == []
    await uploaded(api)
    for table in ("uploaded_deck", "uploaded_deck_piece"):
        assert await api.database.fetchval(f"select count(*) from accounts.{table}") == 1


async def test_only_the_newest_decks_are_kept(api: RunningApi, clock: FixedClock) -> None:
    for number in range(MOST + 2):
        clock.move(seconds=1)
        await uploaded(api, name=f"{number}.csv")
    names = [deck["file_name"] for deck in (await api.http.get(DECKS)).json()["items"]]
    assert names == [f"{number}.csv" for number in range(MOST + 1, 1, -1)]


async def test_the_command_shows_the_columns_and_leaves_nothing(
    api: RunningApi, tmp_path: Path
) -> None:
    file = tmp_path / "carrier.csv"
    file.write_text(CARRIER)
    runner = CliRunner(env={"RINGFENCE_API": api.url, "RINGFENCE_TOKEN": TOKEN})
    found = await asyncio.to_thread(runner.invoke, tariff, ["columns", "retail", str(file)])
    assert found.exit_code == 0, found.output
    assert "No column for: Description, Prefix, RateValue." in found.stdout
    assert "proposed" in found.stdout
    assert (await api.http.get(DECKS)).json()["items"] == []

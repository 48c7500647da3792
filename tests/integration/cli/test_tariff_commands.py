"""`ringfence tariff`, against the real API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ringfence_cli.tariffs.tariffs import tariff
from tests.support.accounts import CARD, TOKEN, RunningApi, running_api

Run = Callable[..., Awaitable[Result]]
DEARER = CARD.replace("0.0100", "0.02").replace("Toronto", "Greater Toronto")


@pytest.fixture
async def api(database: str) -> AsyncIterator[RunningApi]:
    async with running_api(database) as opened:
        yield opened


@pytest.fixture
def run(api: RunningApi) -> Run:
    environment = {"RINGFENCE_API": api.url, "RINGFENCE_TOKEN": TOKEN}

    async def invoke(*arguments: str, typed: str = "") -> Result:
        runner = CliRunner(env=environment)
        result = await asyncio.to_thread(runner.invoke, tariff, arguments, input=typed)
        assert max(map(len, result.stdout.splitlines()), default=0) <= 80, result.stdout
        return result

    return invoke


@pytest.fixture
def card(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        file = tmp_path / "card.csv"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


Card = Callable[[str], str]


async def versions(api: RunningApi) -> int:
    found: int = await api.database.fetchval("select count(*) from accounts.tariff_version")
    return found


async def test_an_import_shows_what_changes_and_needs_confirmation(
    run: Run, card: Card, api: RunningApi
) -> None:
    first = await run("import", "retail", card(CARD), "--currency", "CAD", typed="y\n")
    assert first.exit_code == 0, first.output
    declined = await run("import", "retail", card(DEARER), typed="n\n")
    assert (declined.exit_code, await versions(api)) == (1, 1)
    assert "0.01 → 0.02" in declined.stdout
    assert "Toronto → Greater" in declined.stdout
    assert "compared with version 1" in declined.stderr
    taken = await run("import", "retail", card(DEARER), typed="y\n")
    assert (taken.exit_code, await versions(api)) == (0, 2)


async def test_yes_needs_no_confirmation(run: Run, card: Card, api: RunningApi) -> None:
    asked = await run("import", "retail", card(CARD), "--currency", "CAD")
    assert (asked.exit_code, await versions(api)) == (1, 0)
    silent = await run("import", "retail", card(CARD), "--currency", "CAD", "--json")
    assert (silent.exit_code, await versions(api)) == (2, 0)
    assert "--yes" in silent.stderr
    made = await run("import", "retail", card(CARD), "--currency", "CAD", "--json", "--yes")
    answer = json.loads(made.stdout)
    assert (answer["version_id"], answer["diff"]["counts"]["added"]) == (1, 3)


@pytest.mark.parametrize("more", [[], ["--yes"], ["--json"]])
async def test_a_dry_run_needs_no_confirmation_and_writes_nothing(
    run: Run, card: Card, api: RunningApi, more: list[str]
) -> None:
    tried = await run("import", "retail", card(CARD), "--currency", "CAD", "--dry-run", *more)
    assert (tried.exit_code, await versions(api)) == (0, 0)
    assert "35544416" in tried.stdout


async def test_the_same_file_again_needs_no_confirmation(
    run: Run, card: Card, api: RunningApi
) -> None:
    await run("import", "retail", card(CARD), "--currency", "CAD", "--yes")
    again = await run("import", "retail", card(CARD))
    assert (again.exit_code, await versions(api)) == (0, 1)
    assert "Nothing to do" in again.stdout


async def test_a_file_changed_after_it_was_shown_is_refused(
    run: Run, card: Card, api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is edited before the version is confirmed."""
    await run("import", "retail", card(CARD), "--currency", "CAD", "--yes")
    shown = "ringfence_cli.tariffs.tariff_import.confirm"
    monkeypatch.setattr(shown, lambda _: card(DEARER.replace("0.02", "9")))
    refused = await run("import", "retail", card(DEARER))
    assert (refused.exit_code, await versions(api)) == (2, 1)
    assert "again" in refused.stderr


async def test_a_large_difference_shows_its_largest_changes(run: Run, card: Card) -> None:
    header = "Description,Prefix,RateValue,Increment\n"
    rows = [f"A place with quite a long name {n},{10**10 + n},0.5,60/60\n" for n in range(300)]
    await run("import", "retail", card(header + "".join(rows)), "--currency", "CAD", "--yes")
    changed = [row.replace("0.5", f"0.{n + 600}") for n, row in enumerate(rows)]
    tried = await run("import", "retail", card(header + "".join(changed)), "--dry-run")
    assert "300" in tried.stdout
    changes = [line for line in tried.stdout.splitlines() if line.startswith("dearer ")]
    assert [n for n in range(300) if str(10**10 + n) in " ".join(changes)] == [*range(295, 300)]


async def test_a_mapping_is_stored_once_shown_and_changed(run: Run, card: Card) -> None:
    text = CARD.replace("Prefix,RateValue", "Code,Price")
    lacking = await run("import", "retail", card(text), "--currency", "CAD", "--yes")
    assert lacking.exit_code == 2
    assert "missing: Prefix, RateValue" in lacking.stderr
    assert "Code, Price" in lacking.stderr
    mapped = await run(
        "import", "retail", card(text), "--currency", "CAD", "--yes",
        "--map", "Prefix=Code", "--map", "RateValue=Price",
    )  # fmt: skip
    assert mapped.exit_code == 0, mapped.output
    again = await run("import", "retail", card(text.replace("0.0100", "0.02")), "--yes")
    assert again.exit_code == 0, again.output
    assert json.loads((await run("map", "retail", "--json")).stdout)["Prefix"] == "Code"
    changed = await run("map", "retail", "prefix=Dial code", "RateValue=")
    assert changed.exit_code == 0, changed.output
    found = json.loads((await run("map", "retail", "--json")).stdout)
    assert (found["Prefix"], found["RateValue"]) == ("Dial code", "RateValue")
    assert (await run("map", "retail", "Code=Prefix")).exit_code == 2
    assert (await run("map", "retail", "Prefix")).exit_code == 2


async def test_a_file_of_semicolons_and_decimal_commas(run: Run, card: Card) -> None:
    text = "Description;Prefix;RateValue;Increment\nCanada;1;0,01;6\n"
    given = ("import", "retail", card(text), "--currency", "CAD", "--yes")
    assert (await run(*given)).exit_code == 2
    taken = await run(*given, "--decimal", "comma", "--delimiter", "semicolon")
    assert taken.exit_code == 0, taken.output


async def test_versions_are_listed_shown_compared_and_rolled_back(run: Run, card: Card) -> None:
    await run("import", "retail", card(CARD), "--currency", "CAD", "--yes")
    await run("import", "retail", card(DEARER), "--yes", "--effective-from", "2099-01-01T00:00Z")
    listed = await run("versions", "retail")
    assert "to come" in listed.stdout
    assert "2099-01-01 00:00" in listed.stdout
    compared = await run("diff", "retail", "1", "2")
    assert "0.01 → 0.02" in compared.stdout
    every = await run("diff", "retail", "1", "2", "--kind", "changed", "--json")
    assert [row["prefix"] for row in json.loads(every.stdout)] == ["1416"]
    matched = await run("show", "retail", "--prefix", "1416")
    assert "version 1" in matched.stdout
    assert "Toronto" in matched.stdout
    assert "Greater" in (await run("show", "retail", "--version", "2", "--prefix", "1416")).stdout
    assert "No row" in (await run("show", "retail", "--prefix", "44")).stdout
    assert "35544416" in (await run("show", "retail")).stdout
    none = await run("rollback", "retail", "--yes")
    assert none.exit_code == 2


async def test_a_rollback_shows_what_changes_and_needs_confirmation(
    run: Run, card: Card, api: RunningApi
) -> None:
    await run("import", "retail", card(CARD), "--currency", "CAD", "--yes")
    await run("import", "retail", card(DEARER), "--yes")
    for arguments, typed, made in (
        (["--dry-run", "--yes"], "", 2),
        ([], "n\n", 2),
        ([], "y\n", 3),
        (["--to", "2", "--yes"], "", 4),
    ):
        result = await run("rollback", "retail", *arguments, typed=typed)
        assert "Toronto" in result.stdout, result.output
        assert await versions(api) == made
    again = await run("rollback", "retail", "--to", "2", "--json", "--yes")
    answer = json.loads(again.stdout)
    assert (answer["version_id"], answer["new"]) == (4, False)
    listed = await run("versions", "retail")
    assert "tester (rows of 2)" in " ".join(listed.stdout.split())


async def test_bad_rows_are_listed_on_standard_error_by_line(run: Run, card: Card) -> None:
    refused = await run(
        "import", "retail", card(CARD + "A,1416,x,6\nB,1,0.1,6\n"), "--currency", "CAD", "--dry-run"
    )
    assert refused.exit_code == 2
    assert "line 5: RateValue" in refused.stderr
    assert "line 6: Prefix" in refused.stderr
    assert "line 2 has it too" in refused.stderr

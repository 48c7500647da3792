"""What commands print fits the terminal and names its zone; `--help` loads no command."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ringfence.version import VERSION
from ringfence_cli import listing, tables, times
from ringfence_cli.connection import ListResult
from ringfence_cli.main import main_group

TITLES = ("account", "name", "balance", "level", "state", "since")


@pytest.fixture
def toronto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/Toronto")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(
    *rows: tuple[str, ...],
    details: tuple[str, ...] = (),
    width: int = 80,
    shrinks: str | None = "name",
) -> list[str]:
    return list(
        listing.lines(
            TITLES,
            rows,
            details or ("",) * len(rows),
            listing.TableLayout(width, shrinks, {"balance"}, {"since"}),
        )
    )


plain = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd")), max_size=60)


@given(
    account=st.from_regex(r"[a-z0-9-]{1,100}", fullmatch=True),
    name=plain,
    balance=st.decimals(-(10**7), 10**7, places=2).map(str),
    detail=plain,
)
def test_a_row_never_exceeds_80_columns_but_for_a_long_account(
    account: str, name: str, balance: str, detail: str
) -> None:
    row = (account, name, balance, "exhausted", "would be off", "2025-11-26 11:17")
    lines = shown(row, details=(detail,))
    wide = [line for line in lines if cell_len(line) > 80]
    assert wide in ([], [account])
    assert any(account in line for line in lines), "an account is copied by people: it is never cut"
    assert any(balance in line and "would be off" in line for line in lines)


def test_a_long_account_has_a_line_of_its_own_and_a_long_name_is_cut() -> None:
    row = ("a-client-with-a-very-long-id", "N" * 70, "-3.60", "low", "off", "11-26 11:17")
    _, _, first, second = shown(row)
    assert first == "a-client-with-a-very-long-id"
    assert second.startswith(" ")
    assert "NNN…" in second
    assert second.endswith("11-26 11:17")


def test_what_is_below_a_row_is_indented_and_wrapped() -> None:
    row = ("anna", "Anna", "-3.60", "exhausted", "off", "11-26 11:17")
    _, _, _, *below = shown(row, details=("no credit: balance -3.60; " * 6,))
    assert len(below) == 3
    assert all(line.startswith("    ") and len(line) < 80 for line in below)


def test_a_table_without_a_column_to_cut_folds_its_widest_text() -> None:
    name = "no-matching-prefix of a tariff with a very long name " * 2
    row = ("anna", name, "-3.60", "exhausted", "would be off", "2025-11-26 11:17")
    lines = shown(row, shrinks=None)
    assert all(cell_len(line) <= 80 for line in lines)
    words = [word for line in lines[2:] for word in line.split()]
    assert words.count("no-matching-prefix") == 2, "no word is broken"
    assert "…" not in "".join(lines)


@given(st.lists(st.tuples(*[plain] * 3), min_size=1, max_size=5), st.integers(40, 120))
def test_a_folded_table_keeps_every_character(rows: list[tuple[str, ...]], width: int) -> None:
    titles = ("account", "name", "state")
    layout = listing.TableLayout(width, None, ())
    lines = list(listing.lines(titles, rows, ("",) * len(rows), layout))
    printed = "".join("".join(lines[2:]).split())
    for row in rows:
        assert not {char for cell in row for char in cell} - {*printed}


def table(
    *arguments: str, at: str, rows: int = 1, total: int | None = None, more: bool = False
) -> str:
    @click.command()
    @tables.output_options
    def command(as_json: bool) -> None:
        found = ListResult([{"at": at}] * rows, total, more)
        columns = (tables.instant("since", "at"),)
        tables.show_rows(found, columns, as_json=as_json, empty="", noun="entry")

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("toronto")
def test_instants_are_shown_in_this_machines_zone_or_in_utc() -> None:
    this_year = datetime.now(UTC).year
    local = table(at=f"{this_year}-07-01T02:30:00+00:00")
    assert "06-30 22:30" in local
    assert str(this_year) not in local
    assert "Times are in EST/EDT" in local
    utc = table("--utc", at=f"{this_year}-07-01T02:30:00+00:00")
    assert "07-01 02:30" in utc
    assert "Times are in UTC" in utc


@pytest.mark.usefixtures("toronto")
def test_another_year_is_shown() -> None:
    assert "2019-12-31 22:30" in table(at="2020-01-01T03:30:00Z")
    assert "2020-01-01 03:30" in table("--utc", at="2020-01-01T03:30:00Z")


def test_the_count_says_how_many_there_are_in_all() -> None:
    now = datetime.now(UTC).isoformat()
    assert "\n1 entry. " in table(at=now)
    assert "\n3 entries. " in table(at=now, rows=3, total=3)
    assert "\n3 of 312 entries; 309 more: --limit 312 shows all. " in table(
        at=now, rows=3, total=312
    )
    assert "\nThe first 3 entries; there are more: --limit 30. " in table(at=now, rows=3, more=True)


@pytest.mark.usefixtures("toronto")
def test_instants_in_sentences_of_the_api_are_in_the_shown_zone() -> None:
    text = "off since 2026-07-01 02:30 UTC: until 2026-12-01 05:00 UTC; 2026-99-01 05:00 UTC"
    assert times.in_shown_zone(text) == (
        "off since 2026-06-30 22:30 EDT: until 2026-12-01 00:00 EST; 2026-99-01 05:00 UTC"
    )


@pytest.mark.usefixtures("toronto")
def test_an_instant_without_a_zone_is_in_the_shown_zone() -> None:
    assert times.parse_instant("--until", "2026-07-01T12:00") == "2026-07-01T12:00:00-04:00"
    assert times.parse_instant("--until", "2026-07-01T12:00Z") == "2026-07-01T12:00:00+00:00"
    assert times.parse_instant("--until", "2026-07-01", days=True) == "2026-07-01"
    assert times.parse_instant("--as-of", None) is None
    with pytest.raises(SystemExit):
        times.parse_instant("--until", "monday", days=True)


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_with_its_zone_is_unchanged(instant: datetime) -> None:
    text = times.parse_instant("--until", instant.isoformat())
    assert text is not None
    assert abs(datetime.fromisoformat(text) - instant) == timedelta()


HELP = """
import json, sys
from importlib.metadata import entry_points
from ringfence_cli.main import main
sys.argv = ["ringfence", "--help"]
try:
    main()
except SystemExit:
    pass
modules = {point.module for point in entry_points(group="ringfence.commands")}
loaded = [name for name in (*modules, "httpx", "pydantic") if name in sys.modules]
print(json.dumps([len(modules), loaded]), file=sys.stderr)
"""


@pytest.mark.processes
def test_help_lists_every_command_without_loading_any() -> None:
    """Loading all commands takes about a second."""
    done = subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True, text=True)
    count, loaded = json.loads(done.stderr)
    assert (count > 20, loaded) == (True, [])


def test_help_has_the_texts_of_the_loaded_commands() -> None:
    context = click.Context(main_group)
    texts = main_group.described(context)
    for name in main_group.list_commands(context):
        command = main_group.get_command(context, name)
        assert command is not None
        assert " ".join(texts[name].split()) == " ".join((command.help or "").split())


def test_the_version_is_printed() -> None:
    output = CliRunner().invoke(main_group, ["--version"])
    assert (output.exit_code, output.stdout) == (0, f"ringfence, version {VERSION}\n")


Found = tuple[tuple[str, ...], click.Command]


def every_command(path: tuple[str, ...], command: click.Command) -> Iterator[Found]:
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from every_command((*path, name), part)
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command


OURS = [
    found
    for point in entry_points(group="ringfence.commands")
    if point.module.startswith("ringfence_cli.")
    if point.name != "completion"  # it asks nobody
    for found in every_command((point.name,), point.load())
    if found[1].callback.__module__.startswith("ringfence_cli.")  # not a part of another package
]
ALWAYS_UTC = {("doctor",): "its findings are sentences, whose instants are in UTC"}


@pytest.mark.parametrize(("path", "command"), OURS, ids=lambda value: str(value)[:40])
def test_every_command_of_accounts_has_json_an_example_and_no_resource(
    path: tuple[str, ...], command: click.Command
) -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    if path != ("tariff", "export"):  # it writes a rate deck
        assert "--json" in options
        assert ("--utc" in options) == (path not in ALWAYS_UTC)
    assert f"ringfence {' '.join(path)}" in " ".join((command.help or "").split())
    assert "/v1" not in (command.help or "")


def test_the_commands_of_accounts_are_found() -> None:
    assert len(OURS) >= 40
    assert ("explain", "client") in {path for path, _ in OURS}

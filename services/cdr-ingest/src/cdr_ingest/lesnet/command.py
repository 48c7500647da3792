"""`ringfence lesnet`: shows how a profile reads a CDR file, before the profile is used."""

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cdr_ingest.lesnet.cdr_file import CdrFile, CutOff, NotAFile, Report
from cdr_ingest.lesnet.poller import exposure
from ringfence.console.output import json_option, print_json
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.call import CallCompleted
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.lesnet.profile_file import DEFAULT, default_profile, load_profile
from ringfence_pbx.servers import LesnetLink, LesnetServer, load_servers

_NO_PEER = "0" * 13
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DEFAULT_NOTE = "The default profile is an assumption: no description of Les.net's files is public."

_NO_DID_NOTE = "The profile tells directions by the link's DIDs: name them by --did."


@dataclass
class _TriedFile:
    """What a profile makes of a file. `report` is None if the file cannot be read at all."""

    refusal: str | None
    calls: list[CallCompleted] = field(default_factory=list)
    report: Report | None = None
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """The same for JSON; lines that do not fit are examples, as many as the report keeps."""
        report = self.report or Report()
        return {
            "taken": self.refusal is None,
            "refusal": self.refusal,
            "notes": self.notes,
            "calls": [
                {
                    "started_at": call.started_at.isoformat(),
                    "direction": call.direction,
                    "tenant": call.tenant,
                    "caller_number": call.caller_number,
                    "destination_number": call.destination_number,
                    "billsec": call.billsec,
                }
                for call in self.calls
            ],
            "fits": report.fits,
            "unfit": report.unfit,
            "repeated": report.repeated,
            "examples": [{"line": line, "reason": reason} for line, reason in report.examples],
            "newest_at": report.newest_at and report.newest_at.isoformat(),
        }


@click.group()
def lesnet() -> None:
    """Les.net's CDR files: find the profile that reads yours."""


@lesnet.command()
def profile() -> None:
    """Print the default profile, to copy and correct."""
    click.echo(DEFAULT.read_text(encoding="utf-8"), nl=False)


@lesnet.command(name="try")
@click.argument("file", type=_FILE)
@click.option(
    "--profile",
    "profile_name",
    default="default",
    show_default=True,
    metavar="P",
    help="A profile's TOML file, a servers file, or `default`.",
)
@click.option("--server", default=None, help="Which entry of a servers file, if it has several.")
@click.option("--peer", default="", help="The link's peer id, where the profile asks for it.")
@click.option("--did", "dids", multiple=True, help="A DID of the link; may be repeated.")
@click.option("--rows", default=10, show_default=True, help="Calls to show.")
@click.option(
    "--max-unfit-percent",
    type=click.FloatRange(0, 100),
    default=None,
    help="Share of lines that may fail to fit.  [default: the entry's, or 5]",
)
@json_option
def try_file(
    file: Path,
    profile_name: str,
    server: str | None,
    peer: str,
    dids: tuple[str, ...],
    rows: int,
    max_unfit_percent: float | None,
    as_json: bool,
) -> None:
    """Show what a profile makes of FILE. Nothing is sent or kept.

    Exit 1 if the file would be refused, 2 if the profile cannot be used.
    """  # fmt: skip
    chosen, entry_percent = _profile_and_limit(profile_name, server)
    percent = entry_percent if max_unfit_percent is None else max_unfit_percent
    link = _link(peer or (_NO_PEER if chosen.tenant == "link" else ""), dids)
    tried = _try(file.read_bytes(), chosen, link, rows, percent)
    tried.notes += [_DEFAULT_NOTE] if profile_name == "default" else []
    if chosen.direction.rule == "did" and chosen.columns.did is None and not dids:
        tried.notes.append(_NO_DID_NOTE)
    if as_json:
        print_json(tried.facts())
    else:
        _show(Console(), tried)
    if tried.refusal is not None:
        raise SystemExit(1)


def _show(console: Console, tried: _TriedFile) -> None:
    for note in tried.notes:
        _print(console, note)
    if tried.report is not None:
        console.print(_table(tried.calls))
        _print_report(console, tried.report)
    if tried.refusal is None:
        _print(console, "The file would be taken.", "green")
    else:
        text = f"The file would be refused, and nothing of it taken: {tried.refusal}"
        _print(console, text, "red")


def _print(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is: the content of a file is not markup."""
    console.print(Text(text, style))


def _profile_and_limit(name: str, server: str | None) -> tuple[Profile, float]:
    """The profile, and the percentage of lines that may fail to fit."""
    default_percent = LesnetServer.model_fields["max_unfit_percent"].default
    if name == "default":
        return default_profile(), default_percent
    path = Path(name)
    if not _is_servers_file(path):
        return load_profile(path), default_percent
    entries = load_servers(path).lesnet
    server_id = server or (next(iter(entries)) if len(entries) == 1 else "")
    if server_id not in entries:
        raise BadInput("--server", server or "nothing", f"one of {', '.join(entries) or 'none'}")
    entry = entries[server_id]
    return entry.read_profile(), entry.max_unfit_percent


def _is_servers_file(path: Path) -> bool:
    try:
        return "servers" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # load_profile says what is wrong with it


def _link(peer: str, dids: tuple[str, ...]) -> LesnetLink:
    try:
        return LesnetLink(url="https://cdr.invalid/try", name="try", peer=peer, dids=dids)
    except ValueError:
        expected = "a peer id of 13 hex digits, and DIDs of 7 to 15 digits"
        raise BadInput("--peer, --did", ", ".join((peer, *dids)), expected) from None


def _try(
    body: bytes, profile: Profile, link: LesnetLink, rows: int, max_unfit_percent: float
) -> _TriedFile:
    """Read a file by a profile: the first calls, what fits, and whether it would be refused."""
    try:
        file = CdrFile(body, server_id="try", link=link, profile=profile)
    except (CutOff, NotAFile, BadInput) as error:
        return _TriedFile(refusal=str(error))
    calls = (record for record in file.records() if isinstance(record, CallCompleted))
    report = Report()
    first = list(islice(calls, rows))
    report.add(file.records())
    return _TriedFile(report.refusal(max_unfit_percent), first, report)


def _table(calls: list[CallCompleted]) -> Table:
    titles = ("started (UTC)", "direction", "peer or DID", "caller", "callee", "s")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title="First calls")
    for title in titles:
        fixed = title not in ("caller", "callee")
        justify: JustifyMethod = "right" if title == "s" else "left"
        table.add_column(title, justify=justify, no_wrap=fixed, overflow="fold")
    for call in calls:
        cells = (
            f"{call.started_at:%Y-%m-%d %H:%M:%S}",
            call.direction,
            call.tenant,
            call.caller_number,
            call.destination_number,
            str(call.billsec),
        )
        table.add_row(*map(Text, cells))
    return table


def _print_report(console: Console, report: Report) -> None:
    lines = (
        f"{report.fits} lines fit",
        f"{report.unfit} do not fit ({report.unfit_percent:.1f} %)",
        f"{report.repeated} repeat an earlier line, and count as calls of their own",
    )
    _print(console, "\n".join(lines))
    for line, reason in report.examples:
        _print(console, f"  line {line}: {reason}", "yellow")
    if report.unfit > len(report.examples):
        _print(console, f"  … and {report.unfit - len(report.examples)} more")
    if report.newest_at is not None:
        age_s = (datetime.now(UTC) - report.newest_at).total_seconds()
        when = f"{report.newest_at:%Y-%m-%d %H:%M:%S} UTC, {age_s / 3600:.1f} h ago"
        _print(console, f"newest row: {when}: {exposure(age_s)}")

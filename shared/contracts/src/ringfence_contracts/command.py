"""`ringfence contracts`: compares the agreed contracts and generated pages with the code."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import click

from ringfence_contracts.documents import topic_table
from ringfence_contracts.documents.asyncapi import document
from ringfence_contracts.documents.block_yaml import as_yaml
from ringfence_contracts.documents.page import page as asyncapi_page
from ringfence_contracts.errors import BadInput
from ringfence_contracts.evolution import Difference, differences
from ringfence_contracts.schemas import as_text, golden_file, read_golden, schema_of
from ringfence_contracts.topics import ALL_TOPICS, BY_NAME, Topic

GOLDEN, TOPICS_PAGE = "tests/contract/golden", "docs/topics.md"
ASYNCAPI, ASYNCAPI_PAGE = "docs/asyncapi.yaml", "docs/asyncapi.html"
_WIDTH = 80
_WRITE = "agree to it with `ringfence contracts write`"


@dataclass(frozen=True)
class Finding:
    """A difference between the files and the code; one that `breaks` readers is never written."""

    text: str
    breaks: bool = False


def findings(root: Path) -> Iterator[Finding]:
    """The differences between the files of the checkout `root` and the code."""
    for topic in ALL_TOPICS:
        yield from _of_topic(topic, root / GOLDEN)
    for path in sorted((root / GOLDEN).glob("*.json")):
        if path.stem not in BY_NAME:
            says = "the topic is gone; delete its golden schema once nobody reads it any more"
            yield Finding(f"{path.stem}: {says}", breaks=True)
    for path, text in _generated(root).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield Finding(f"{path.relative_to(root)}: not as the code says; {_WRITE}")


def _of_topic(topic: Topic, folder: Path) -> Iterator[Finding]:
    golden, current = read_golden(folder, topic), schema_of(topic)
    if golden is None:
        yield Finding(f"{topic.name}: no golden schema; {_WRITE}")
        return
    for difference in differences(golden, current):
        yield _finding_of(topic, difference)
    if golden_file(folder, topic).read_text(encoding="utf-8") != as_text(golden):
        yield Finding(f"{topic.name}: the golden file was edited by hand; {_WRITE}")


def _finding_of(topic: Topic, difference: Difference) -> Finding:
    if difference.kind == "breaking":
        advice = f"a breaking change needs a new topic, {_next_major(topic)}"
    elif difference.kind == "readers-first":
        advice = f"deploy the readers before the writer, and {_WRITE}"
    else:
        advice = _WRITE
    return Finding(f"{topic.name}: {difference}; {advice}", breaks=difference.kind == "breaking")


def _next_major(topic: Topic) -> str:
    name, _, major = topic.name.rpartition(".v")
    return f"{name}.v{int(major) + 1}"


@cache
def _asyncapi() -> str:
    return as_yaml(document())


@cache
def _asyncapi_page() -> str:
    return asyncapi_page()


def _generated(root: Path) -> dict[Path, str]:
    page = root / TOPICS_PAGE
    return {
        root / ASYNCAPI: _asyncapi(),
        root / ASYNCAPI_PAGE: _asyncapi_page(),
        page: topic_table.with_generated_tables(page.read_text(encoding="utf-8")),
    }


def write_all(root: Path) -> None:
    """Write every golden schema and generated page. The caller has checked for breaks."""
    golden = {golden_file(root / GOLDEN, t): as_text(schema_of(t)) for t in ALL_TOPICS}
    for path, text in (golden | _generated(root)).items():
        path.write_text(text, encoding="utf-8")


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


@click.group()
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The checkout; the current folder if not given.",
)
@click.pass_context
def contracts(context: click.Context, root: Path) -> None:
    """Compare the event contracts with what was agreed, or renew what was agreed."""
    if not (root / GOLDEN).is_dir() or not (root / TOPICS_PAGE).is_file():
        raise BadInput("--root", str(root), f"a checkout, with {GOLDEN} and {TOPICS_PAGE} in it")
    context.obj = root


@contracts.command()
@_json
@click.pass_obj
def check(root: Path, as_json: bool) -> None:
    """Print each difference; exit 1 if there is one."""
    found = list(findings(root))
    if as_json:
        _print_json(found)
    else:
        for finding in found:
            click.echo(_wrapped(finding.text))
    if found:
        raise SystemExit(1)
    if not as_json:
        click.echo(f"{len(ALL_TOPICS)} topics as agreed")


@contracts.command()
@_json
@click.pass_obj
def write(root: Path, as_json: bool) -> None:
    """Agree to what the code says; refuse, and exit 1, where a change would break readers."""
    breaks = [finding for finding in findings(root) if finding.breaks]
    if as_json:
        _print_json(breaks)
    else:
        for finding in breaks:
            click.echo(_wrapped(finding.text), err=True)
    if breaks:
        raise SystemExit(1)
    write_all(root)
    if not as_json:
        click.echo(f"{len(ALL_TOPICS)} topics agreed")


def _wrapped(text: str) -> str:
    """The text on lines of a terminal; on one line where there is none, for a log of CI."""
    if not (os.environ.get("COLUMNS") or sys.stdout.isatty()):
        return text
    return click.wrap_text(text, _WIDTH, subsequent_indent="    ")


def _print_json(found: list[Finding]) -> None:
    value = {"topics": len(ALL_TOPICS), "findings": [asdict(finding) for finding in found]}
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))

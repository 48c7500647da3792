"""Releases are listed where a machine finds them, and their contracts are still understood."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.version import Version

from ringfence.version import VERSION
from ringfence_contracts.evolution import differences
from ringfence_contracts.schemas import Schema, schema_of
from ringfence_contracts.topics import BY_NAME
from tests.support.previous_release import (
    NotHere,
    Release,
    has_adr,
    previous,
    readers_first,
    releases,
    same_major,
)

ROOT = Path(__file__).parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
_SECTION = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)
GOLDEN = "tests/contract/golden"


def released(release: Release, *paths: str) -> dict[str, bytes]:
    """Files of a release; the test is skipped where this copy of the repository lacks them."""
    try:
        return release.tree(*paths)
    except NotHere as why:
        pytest.skip(f"nothing to compare with release {release.version}: {why}")


def broken(
    golden: dict[str, Schema], current: dict[str, Schema], meant: Iterable[tuple[str, str]] = ()
) -> list[str]:
    """The changes that readers of the earlier or the later schemas would refuse."""
    gone = [f"{name}: the topic is gone" for name in golden.keys() - current.keys()]
    return gone + [
        f"{name}: {difference}"
        for name in golden.keys() & current.keys()
        for difference in differences(golden[name], current[name])
        if difference.kind == "breaking"
        or (difference.kind == "readers-first" and (name, difference.field) not in meant)
    ]


def test_each_section_of_the_changelog_is_a_release() -> None:
    """Only that of this very version may not be on the page yet: it is being cut."""
    sections = _SECTION.findall(CHANGELOG.read_text(encoding="utf-8"))
    cut = [each for each in sections if Version(each[0]) < Version(VERSION)]
    assert [(str(each.version), each.date) for each in releases()] == cut
    assert Version(sections[0][0]) <= Version(VERSION)


@pytest.mark.parametrize("release", releases(), ids=lambda release: str(release.version))
def test_a_release_s_commit_cut_the_changelog_and_bears_the_tag(release: Release) -> None:
    text = released(release, "CHANGELOG.md")["CHANGELOG.md"].decode()
    assert _SECTION.findall(text)[0] == (str(release.version), release.date)
    assert release.tagged() in (release.commit, None)


def test_topics_are_compatible_with_the_previous_release() -> None:
    release = previous()
    if not same_major(release):
        pytest.skip(f"{VERSION} is another major than {release.version}")
    files = released(release, GOLDEN)
    golden = {Path(name).stem: json.loads(text) for name, text in files.items()}
    assert golden
    current = {name: schema_of(topic) for name, topic in BY_NAME.items()}
    assert broken(golden, current, readers_first()) == []


def test_a_change_that_earlier_readers_refuse_has_a_decision() -> None:
    assert [adr for adr in readers_first().values() if not has_adr(adr)] == []


def test_a_removed_topic_or_field_is_found() -> None:
    payment = schema_of(BY_NAME["payment.received.v1"])
    golden = {"payment.received.v1": payment, "call.dropped.v1": {}}
    current = json.loads(json.dumps(payment))
    del current["properties"]["account_id"]
    assert broken(golden, {"payment.received.v1": current}) == [
        "call.dropped.v1: the topic is gone",
        "payment.received.v1: account_id: removed (breaking)",
    ]


def test_a_value_that_earlier_readers_refuse_must_be_listed() -> None:
    name = "payment.received.v1"
    current = schema_of(BY_NAME[name])
    golden = json.loads(json.dumps(current))
    golden["properties"]["kind"]["enum"].remove("adjustment")
    (found,) = broken({name: golden}, {name: current})
    assert "kind: " in found
    meant = readers_first(f"| topic | field | |\n|---|---|---|\n| `{name}` | `kind` | ADR 0041 |\n")
    assert meant == {(name, "kind"): "0041"}
    assert broken({name: golden}, {name: current}, meant) == []

"""The table of a run, for people and for RESULTS.md."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.invariants import NAMES, Findings

RESULTS = Path(__file__).with_name("RESULTS.md")
_ROWS = RESULTS.with_name("results.json")
_HEAD = """\
# What the chaos suite found

By `make chaos`, Python {python}, {machine}; load average at the end {load:.1f} on {cores} cores.
The machine was shared with other work, so durations are not those of a machine of its own. A run
with `--only` replaces the rows of its scenarios and keeps the others.

Each scenario has a stack of its own: broker, database, six services, a simulated PBX, a mail
server. Its calls come by push, by pull, or both, each sent 1 to 5 times; payments as well.

- *converged*: from the end of the faults and of the sending until the independent check
  (`tests/chaos/invariants.py`) found no difference.
- *lost*: calls that were accepted and are nowhere. *double*: calls with two charges.
- *I1* to *I12*: differences at the end; the invariants are in
  [docs/architecture.md](../../docs/architecture.md). n/a: it could not be checked, see the notes.
- *verify*: what `ringfence database verify --full --replay` says.

How to run it: [CONTRIBUTING.md](../../CONTRIBUTING.md).
"""


@dataclass
class Result:
    """A row of the table."""

    scenario: str
    title: str
    calls: int = 0
    posts: int = 0
    kills: int = 0
    took_s: float = 0.0
    converged_s: float = 0.0
    findings: Findings | None = None
    verify: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    failure: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing differs; a scenario that was skipped holds nothing and breaks nothing."""
        if self.skipped:
            return True
        return not self.failure and self.findings is not None and (
            self.findings.holds and not self.verify
        )  # fmt: skip

    def lines(self) -> list[str]:
        """What is to be said beside the row."""
        said = list(self.notes)
        if self.findings is not None:
            said += self.findings.lines()
        said += [f"verify, {line}" for line in self.verify]
        return said + [text for text in (self.failure, self.skipped) if text]

    def cells(self) -> list[str]:
        """The row as texts."""
        if self.findings is None:
            why = "skipped" if self.skipped else "FAILED"
            return [self.scenario, why, *[""] * (len(COLUMNS) - 2)]
        findings = self.findings
        return [
            self.scenario,
            "passed" if self.holds else "FAILED",
            f"{self.calls:,}",
            f"{self.posts:,}",
            f"{self.kills:,}",
            f"{self.took_s:.0f} s",
            f"{self.converged_s:.1f} s",
            str(len(findings.lost)),
            str(len(findings.doubled)),
            *("n/a" if n in findings.unknown else str(len(findings.differences[n])) for n in NAMES),
            "holds" if not self.verify else "differs",
        ]


COLUMNS = (
    "scenario", "result", "calls", "posts", "kills", "took", "converged", "lost", "double", *NAMES,
    "verify",
)  # fmt: skip


def write_results(results: Sequence[Result], order: Sequence[str]) -> None:
    """Write RESULTS.md, with the rows of earlier runs for scenarios that did not run now."""
    rows = {row["scenario"]: row for row in _earlier()}
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    for result in results:
        rows[result.scenario] = {
            "scenario": result.scenario,
            "cells": [*result.cells(), now],
            "notes": [result.title, *result.lines()],
        }
    kept = [rows[name] for name in order if name in rows]
    _ROWS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    RESULTS.write_text(as_markdown(kept), encoding="utf-8")


def _earlier() -> list[dict[str, Any]]:
    if not _ROWS.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(_ROWS.read_text(encoding="utf-8"))
    return found


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The whole of RESULTS.md."""
    head = _HEAD.format(
        python=platform.python_version(),
        machine=platform.machine(),
        load=os.getloadavg()[0],
        cores=os.cpu_count(),
    )
    columns = (*COLUMNS, "ended at (UTC)")
    lines = [
        "| " + " | ".join(columns) + " |",
        "|---|---|" + "---:|" * (len(columns) - 4) + "---|---|",
    ]
    lines += ["| " + " | ".join(row["cells"]) + " |" for row in rows]
    notes = [f"- **{row['scenario']}**: {line}" for row in rows for line in row["notes"]]
    return "\n".join([head, *lines, "", "## Notes", "", *notes, ""])

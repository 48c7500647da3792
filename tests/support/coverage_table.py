"""The coverage of each package, from coverage's JSON report: `make coverage` prints it."""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any


@dataclass
class Counts:
    """Statements and branches of a package, and how many of them ran."""

    statements: int = 0
    run_statements: int = 0
    branches: int = 0
    run_branches: int = 0

    def add(self, summary: dict[str, Any]) -> None:
        self.statements += summary["num_statements"]
        self.run_statements += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.run_branches += summary["covered_branches"]


def package_of(path: str) -> str:
    """The package of a source file, as far as its first sub-package.

    Raises:
        ValueError: if the path has no `src` folder.
    """
    parts = PurePath(path).parts
    inside = parts[parts.index("src") + 1 : -1]
    return ".".join(inside[:2])


def counts_by_package(report: dict[str, Any]) -> dict[str, Counts]:
    """The counts of each package in coverage's JSON report, and of all as "total"."""
    counts: defaultdict[str, Counts] = defaultdict(Counts)
    for path, file in report["files"].items():
        counts[package_of(path)].add(file["summary"])
        counts["total"].add(file["summary"])
    return dict(counts)


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def table(counts: dict[str, Counts]) -> str:
    """One line for each package, and the total last."""
    rows = [("package", "statements", "run", "branches", "taken")]
    for name in [*sorted(counts.keys() - {"total"}), "total"]:
        found = counts[name]
        statements = percent(found.run_statements, found.statements)
        branches = percent(found.run_branches, found.branches)
        rows.append((name, str(found.statements), statements, str(found.branches), branches))
    width = max(len(name) for name, *_ in rows)
    return "\n".join(
        f"{name:<{width}} {cells[0]:>10} {cells[1]:>8} {cells[2]:>9} {cells[3]:>8}"
        for name, *cells in rows
    )


if __name__ == "__main__":
    print(table(counts_by_package(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))

"""What was measured: a table for people, JSON for programs."""

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One row: a value, its unit, and under which conditions it was measured."""

    name: str
    value: float
    unit: str
    conditions: str


@dataclass
class Figures:
    """All rows of a run."""

    rows: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: bool = False

    def add(self, name: str, value: float, unit: str, conditions: str = "") -> None:
        """Note a row."""
        self.rows.append(Figure(name, round(value, 3), unit, conditions))

    def note(self, text: str) -> None:
        """Note a condition of the whole run."""
        self.notes.append(text)

    def table(self) -> Table:
        """The rows, within 80 columns."""
        table = Table(title="bench", title_justify="left", caption="; ".join(self.notes))
        table.add_column("what", overflow="fold")
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("unit", no_wrap=True)
        table.add_column("conditions", overflow="fold")
        for row in self.rows:
            table.add_row(row.name, _shown(row.value), row.unit, row.conditions)
        return table

    def write(self, folder: Path) -> None:
        """Write `results.json` and `RESULTS.md`."""
        rows = [asdict(row) for row in self.rows]
        (folder / "results.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        lines = [
            "# Measured",
            "",
            f"By `make bench`, {when}, Python {platform.python_version()}, {platform.machine()};"
            f" {'; '.join(self.notes)}.",
            "Machines are shared and noisy: compare ratios within one run, not runs.",
            "",
            "| what | value | unit | conditions |",
            "|---|---:|---|---|",
            *(f"| {r.name} | {_shown(r.value)} | {r.unit} | {r.conditions} |" for r in self.rows),
        ]
        (folder / "RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"

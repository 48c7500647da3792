"""The result of a verification, as it is stored and printed as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rating.audit.finding import Check
from rating.audit.invariants import Sums


def as_report(checks: Sequence[Check], sums: Sequence[Sums]) -> dict[str, Any]:
    """`holds`: whether all checks hold; the checks; the sums by currency in micro-units."""
    return {
        "holds": all(check.holds for check in checks),
        "checks": [{**asdict(check), "holds": check.holds} for check in checks],
        "sums": [row._asdict() for row in sums],
    }

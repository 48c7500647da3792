"""Checks of packages beyond the types of the contract. Pure."""

import re
from collections.abc import Sequence

from accounts.typed.decimal_text import canonical_decimal
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Package

_INCREMENT = re.compile(r"(\d{1,5})(?:/(\d{1,5}))?", re.ASCII)
MAX_INCREMENT_S = 86_400
INCREMENT = "seconds such as 6, or initial/increment such as 30/6, each at least 1"


def read_increment(text: str) -> tuple[int, int] | None:
    """`6` or `30/6` as (initial, increment) in seconds; None if it is neither."""
    found = _INCREMENT.fullmatch(text.strip())
    if not found:
        return None
    initial = int(found[1])
    increment = int(found[2] or found[1])
    fine = 1 <= initial <= MAX_INCREMENT_S and 1 <= increment <= MAX_INCREMENT_S
    return (initial, increment) if fine else None


def canonical_increment(name: str, text: str) -> str:
    """An increment as `initial/increment`. Raises BadInput, also for 0 seconds."""
    seconds = read_increment(text)
    if seconds is None:
        raise BadInput(name, text, INCREMENT)
    return f"{seconds[0]}/{seconds[1]}"


def package_warnings(package: Package, *, unknown_tariffs: Sequence[str] = ()) -> list[str]:
    """Values of a package that are allowed but are probably mistakes.

    `unknown_tariffs` are those of its tariffs that have no version.
    """
    warnings = []
    markups = [("", package.markup_percent)]
    markups += [(f" of {band.name}", band.markup_percent or "100") for band in package.time_bands]
    warnings += [
        f"markup {markup}{where} is under 100: calls are sold for less than the "
        "tariff's rate; 120 means 20 percent on top"
        for where, markup in markups
        if _below_100(markup)
    ]
    warnings += [
        f"tariff {tariff_id} has no version yet: calls stay unrated until it is imported"
        for tariff_id in unknown_tariffs
    ]
    if package.inbound_enabled and package.custom_inbound_rate is None:
        others = " for DIDs that no inbound rate names" if package.inbound_rates else ""
        warnings.append(f"inbound calls are billed, but there is no custom inbound rate{others}")
    if package.inbound_rates and not package.inbound_enabled:
        warnings.append("there are inbound rates, but inbound calls are not billed")
    if (package.free_minutes_prefixes or package.free_minutes_without) and not package.free_minutes:
        warnings.append(
            "there are prefixes in or out of the free minutes, but no free minutes (free_minutes)"
        )
    abroad = [
        row.dids
        for row in package.inbound_rates
        if row.dids.isdigit() and not row.dids.startswith(package.country_code)
    ]
    if abroad:
        warnings.append(
            f"inbound rates of DIDs outside country code {package.country_code}: "
            f"{', '.join(abroad[:5])}; DIDs are written with their country code"
        )
    return warnings


def _below_100(markup_percent: str) -> bool:
    canonical = canonical_decimal(markup_percent) or "0"
    return len(canonical.partition(".")[0]) < 3

"""The meaning and the unit of each event field, for readers of the topics."""

import tomllib
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "fields.toml"
_EVERYWHERE = "everywhere"
_UNITS = {
    "billsec": "seconds",
    "free_minutes": "minutes",
    "minutes": "minutes",
    "markup_percent": "percent",
    "custom_outbound_rate": "currency per minute",
    "custom_inbound_rate": "currency per minute",
    "flat_rate": "currency per minute",
    "connection_fee": "currency",
    "minimum_cost": "currency",
    "payphone_surcharge": "currency",
    "rate": "currency per minute",
    "increment": "seconds",
    "maximum_cost": "currency",
    "custom_outbound_increment": "seconds",
    "custom_inbound_increment": "seconds",
}


def meaning(model: str, field: str) -> str | None:
    """The meaning of `field` of `model`; None if fields.toml has none."""
    words = _words()
    return words.get(model, {}).get(field) or words[_EVERYWHERE].get(field)


def unit(field: str) -> str | None:
    """The unit of a field; None if it has none."""
    if field.endswith("_micro"):
        return "micro-units"
    if field.endswith("_s"):
        return "seconds"
    return _UNITS.get(field)


def named() -> set[tuple[str, str]]:
    """Every model and field in the file; the model is empty for fields of all models."""
    return {
        ("" if model == _EVERYWHERE else model, field)
        for model, fields in _words().items()
        for field in fields
    }


@cache
def _words() -> dict[str, dict[str, str]]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))

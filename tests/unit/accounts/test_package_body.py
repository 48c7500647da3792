"""A package as it is typed: what rating could not parse is refused."""

import pytest
from pydantic import ValidationError

from accounts.packages.bodies import PackageBody
from ringfence_contracts.events.account import DAYS


@pytest.mark.parametrize("pattern", ["911", "1800xxxxxxx", "*xx", "#21", "[Inbound]"])
def test_filter_patterns_are_accepted_in_ratings_format(pattern: str) -> None:
    body = PackageBody(tariff_id="north", not_billed=(pattern,))
    assert body.package().not_billed == (pattern.lower(),)


@pytest.mark.parametrize(
    ("text", "days", "times", "prices"),
    [
        ("evening:mon-fri:18:00-08:00:north:80", DAYS[:5], ("18:00", "08:00"), ("north", "80")),
        ("evening:Mon-Fri:1800-0800::80", DAYS[:5], ("18:00", "08:00"), (None, "80")),
        ("off:sat/sun:00:00-24:00:north", DAYS[5:], ("00:00", "00:00"), ("north", None)),
        ("off:fri-mon:0:00-9:00:north", None, None, None),
        ("long:sat-mon/mon:07:30-7:45:north", None, None, None),
        ("long:sat-mon/mon:0730-1945:north", ("sat", "sun", "mon"), ("07:30", "19:45"),
         ("north", None)),
    ],
)  # fmt: skip
def test_a_time_band_is_read_as_it_is_typed(
    text: str,
    days: tuple[str, ...] | None,
    times: tuple[str, str] | None,
    prices: tuple[str | None, str | None] | None,
) -> None:
    """None: it is refused."""
    typed = {"tariff_id": "north", "time_bands": [text]}
    if days is None:
        with pytest.raises(ValidationError):
            PackageBody.model_validate(typed)
        return
    (band,) = PackageBody.model_validate(typed).package().time_bands
    assert (band.days, (band.begins, band.ends)) == (days, times)
    assert (band.tariff_id, band.markup_percent) == prices


@pytest.mark.parametrize("pattern", ["", "(inbound)", "[ ]", "[in][out]", "1800-xxx", "x" * 33])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="digits"):
        PackageBody(tariff_id="north", hide=(pattern,))

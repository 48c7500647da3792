"""A package as it is typed: what rating could not read is refused at the door."""

import pytest
from pydantic import ValidationError

from accounts.api.bodies import PackageBody


@pytest.mark.parametrize("pattern", ["911", "1800xxxxxxx", "*xx", "#21", "[Inbound]"])
def test_filter_patterns_are_taken_as_rating_reads_them(pattern: str) -> None:
    body = PackageBody(tariff_id="north", not_billed=(pattern,))
    assert body.package().not_billed == (pattern.lower(),)


@pytest.mark.parametrize("pattern", ["", "(inbound)", "[ ]", "[in][out]", "1800-xxx", "x" * 33])
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="digits"):
        PackageBody(tariff_id="north", hide=(pattern,))

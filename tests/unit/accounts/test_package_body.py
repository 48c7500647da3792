"""A package as it is typed: what rating could not parse is refused."""

import pytest
from pydantic import ValidationError

from accounts.api.bodies import PackageBody


@pytest.mark.parametrize("pattern", ["911", "1800xxxxxxx", "*xx", "#21", "[Inbound]"])
def test_filter_patterns_are_accepted_in_ratings_format(pattern: str) -> None:
    body = PackageBody(tariff_id="north", not_billed=(pattern,))
    assert body.package().not_billed == (pattern.lower(),)


@pytest.mark.parametrize("pattern", ["", "(inbound)", "[ ]", "[in][out]", "1800-xxx", "x" * 33])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="digits"):
        PackageBody(tariff_id="north", hide=(pattern,))

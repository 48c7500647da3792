"""When a service is said to be confirmed."""

from datetime import UTC, datetime, timedelta

from suspender.rules.service_state import ServiceState

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_a_confirmation_is_later_than_the_last_one_even_if_the_clock_was_set_back() -> None:
    service = ServiceState("anna", "pbx-1", "wat5", "fusionpbx", "suspended")
    assert service.confirmation_at(NOW) == NOW
    service.confirmed_at = NOW
    assert service.confirmation_at(NOW + timedelta(hours=1)) == NOW + timedelta(hours=1)
    assert service.confirmation_at(NOW - timedelta(hours=1)) > NOW
    assert service.confirmation_at(NOW) > NOW

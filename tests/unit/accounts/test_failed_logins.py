"""Failed logins are limited by address, in bounded memory."""

from accounts.access.failed_logins import BUDGET, MANY, REFILL_S, FailedLogins

ADDRESS = "192.0.2.1"


def spent(address: str = ADDRESS) -> FailedLogins:
    failures = FailedLogins()
    for _ in range(BUDGET):
        failures.failed(address, 0.0)
    return failures


def test_an_address_waits_after_its_budget_and_gets_it_back() -> None:
    failures = spent()
    assert failures.wait_s(ADDRESS, 0.0) == REFILL_S
    assert failures.wait_s(ADDRESS, REFILL_S / 2) == REFILL_S / 2
    assert failures.wait_s(ADDRESS, REFILL_S) == 0
    failures.failed(ADDRESS, REFILL_S)
    assert failures.wait_s(ADDRESS, REFILL_S) == REFILL_S
    assert failures.wait_s(ADDRESS, 1e6) == 0


def test_another_address_does_not_wait() -> None:
    assert spent().wait_s("192.0.2.2", 0.0) == 0


def test_addresses_of_one_ipv6_network_share_a_budget() -> None:
    failures = spent("2001:db8::1")
    assert failures.wait_s("2001:db8::ffff", 0.0) > 0
    assert failures.wait_s("2001:db8:0:1::1", 0.0) == 0
    assert spent("::ffff:192.0.2.1").wait_s(ADDRESS, 0.0) > 0


def test_a_guesser_cannot_fill_the_log() -> None:
    failures = FailedLogins()
    assert sum(failures.failed(ADDRESS, 0.0) for _ in range(1000)) == BUDGET + 1


def test_memory_is_bounded() -> None:
    failures = spent()
    for n in range(10_000):
        failures.failed(f"10.0.{n >> 8}.{n & 255}", 0.0)
    assert failures.wait_s(ADDRESS, 0.0) == 0, "the oldest address is forgotten"


def test_many_failures_are_noticed_whatever_address_they_come_from() -> None:
    failures = FailedLogins()
    for n in range(MANY):
        assert not failures.many(1.0)
        failures.failed(f"10.0.0.{n}", 1.0)
    assert failures.many(300.0)
    assert not failures.many(302.0)


def test_passwords_and_tokens_have_budgets_of_their_own() -> None:
    failures = spent()
    assert failures.wait_s(ADDRESS, 0.0) > 0
    assert failures.wait_s(ADDRESS, 0.0, "password") == 0


def test_a_login_that_succeeds_after_all_costs_nothing() -> None:
    failures = FailedLogins()
    for _ in range(3 * MANY):
        failures.failed(ADDRESS, 0.0, "password")
        failures.undo(ADDRESS, "password")
    assert failures.wait_s(ADDRESS, 0.0, "password") == 0
    assert not failures.many(0.0)

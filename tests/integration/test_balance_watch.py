"""Balance-watch's handler on a real database: each crossing is told once, whatever comes again."""

from collections.abc import AsyncIterator

import pytest

from balance_watch.service import BalanceWatch
from balance_watch.store import WatchStore
from ringfence.events.balance import BalanceChanged, BalanceLow, BalanceRestored, BalanceZero
from ringfence.ids import derive
from ringfence.kafka.records import Received
from ringfence.postgres.pool import open_pool
from ringfence.testing.records import NOON, account, from_bytes, read, received
from ringfence.topics import ACCOUNT_CHANGED, BALANCE_CHANGED

UNIT = 1_000_000


@pytest.fixture
async def watch(database: str) -> AsyncIterator[BalanceWatch]:
    async with await open_pool(database, service="balance-watch") as pool:
        watch = BalanceWatch(store=WatchStore(pool))
        await watch.handle([profile(1)])
        yield watch


def profile(version: int, **fields: object) -> Received:
    changed = account(version=version, **fields)  # type: ignore[arg-type]
    return received(ACCOUNT_CHANGED, changed, derive("profile", version))


def balance(version: int, units: float, account_id: str = "1001") -> Received:
    change = BalanceChanged(
        account_id=account_id,
        version=version,
        balance_micro=round(units * UNIT),
        from_version=version - 1,
        from_balance_micro=0,
        currency="CAD",
        cause="charge",
        cause_id=derive("call", version),
        occurred_at=NOON,
    )
    return received(BALANCE_CHANGED, change, derive("balance", account_id, version))


async def told(watch: BalanceWatch, *batch: Received) -> list[str]:
    outcome = await watch.handle(batch)
    assert outcome.reject == []
    return [event.topic.name.split(".")[1] for event in outcome.publish]


async def test_a_fall_is_told_once_and_the_level_kept(watch: BalanceWatch) -> None:
    assert await told(watch, balance(1, 20)) == ["restored"]
    assert await told(watch, balance(2, 14)) == ["low"]
    assert await told(watch, balance(3, 13)) == []
    assert await told(watch, balance(4, -1)) == ["zero"]
    assert await told(watch, balance(5, 30)) == ["restored"]


async def test_a_replay_tells_the_same_again_with_the_same_id(watch: BalanceWatch) -> None:
    batch = [balance(1, 20), balance(2, 14), balance(3, -2)]
    first = await watch.handle(batch)
    again = await watch.handle(batch)
    topics = [event.topic.name.split(".")[1] for event in first.publish]
    assert topics == ["restored", "low", "zero"]
    assert {(e.event_id, e.value) for e in again.publish} == {
        (e.event_id, e.value) for e in first.publish
    }


async def test_a_late_older_balance_changes_nothing(watch: BalanceWatch) -> None:
    await told(watch, balance(1, 20), balance(5, 10))
    assert await told(watch, balance(3, 18)) == []
    assert await told(watch, balance(6, 9)) == []


async def test_debts_above_the_credit_exhaust_and_their_payment_restores(watch) -> None:
    await told(watch, balance(1, 20))
    outcome = await watch.handle([profile(2, outstanding_micro=21 * UNIT)])
    (zero,) = (read(event) for event in outcome.publish)
    assert isinstance(zero, BalanceZero)
    assert (zero.reason, zero.balance_micro, zero.crossing) == ("outstanding", 20 * UNIT, 2)
    outcome = await watch.handle([profile(3)])
    (restored,) = (read(event) for event in outcome.publish)
    assert isinstance(restored, BalanceRestored)
    assert (restored.level_before, restored.level, restored.crossing) == ("exhausted", "ok", 3)


async def test_a_threshold_moved_past_the_balance_is_no_crossing(watch: BalanceWatch) -> None:
    await told(watch, balance(1, 20))
    assert await told(watch, profile(2, threshold_micro=25 * UNIT)) == []
    assert await told(watch, balance(2, 19)) == []
    assert await told(watch, balance(3, 30), balance(4, 24)) == ["restored", "low"]


async def test_an_account_met_exhausted_is_told_at_its_first_posting(watch: BalanceWatch) -> None:
    """Nobody else would ever switch its services off."""
    assert await told(watch, balance(1, -0.01)) == ["zero"]
    assert await told(watch, balance(1, -0.01)) == ["zero"]
    assert await told(watch, balance(2, -1)) == []


async def test_a_first_top_up_is_a_rise_from_nothing_and_no_low_alert(watch) -> None:
    """The suspender learns of funds by it; a client who never was above the line fell nowhere."""
    assert await told(watch, balance(1, 5)) == ["restored"]
    assert await told(watch, balance(2, 4)) == []


async def test_balances_that_come_before_any_profile_are_watched(watch: BalanceWatch) -> None:
    told_of = await told(watch, balance(1, 5, "1009"), balance(2, 0, "1009"))
    assert told_of == ["restored", "zero"]


async def test_an_unread_record_is_rejected_and_the_next_is_unharmed(watch: BalanceWatch) -> None:
    outcome = await watch.handle(
        [from_bytes(BALANCE_CHANGED, b'{"account_id": 7}'), balance(1, 20), balance(2, 3)]
    )
    assert len(outcome.reject) == 1
    assert "account_id" in outcome.reject[0].reason
    _, low = (read(event) for event in outcome.publish)
    assert isinstance(low, BalanceLow)
    assert low.balance_version == 2

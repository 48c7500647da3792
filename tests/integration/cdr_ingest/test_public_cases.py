"""Every call of tests/cases/sources: from its PBX to the right charge, or to the unrated queue."""

from datetime import timedelta

import pytest

from ringfence_testing.clock import FixedClock
from tests.support.accounts import running_api
from tests.support.public_cases import (
    DECKS,
    IMPORTED_AT,
    REFUSED_DECK,
    PublicBench,
    PublicCase,
    PublicDeck,
    open_public_bench,
    public_cases,
)

CASES = public_cases()
KINDS = sorted({case.id[0] for case in CASES})


async def bill(bench: PublicBench, cases: list[PublicCase]) -> dict[str, str]:
    """End calls and rate them; those that are part of others wait as long as they ever do."""
    await bench.end(cases)
    await bench.look_at_legs(after=timedelta(seconds=11))
    await bench.look_at_legs(after=timedelta(minutes=16))
    await bench.rate()
    return await bench.answers()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_call_has_the_answer_of_its_case(
    kind: str, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    cases = [case for case in CASES if case.id[0] == kind]
    async with open_public_bench(database, monkeypatch) as bench:
        answers = await bill(bench, cases)
        found = {case.id: case.shortened(answers[case.id]) for case in cases}
        assert found == {case.id: case.expected for case in cases}
        assert await bench.rating.drift() == []
        assert await bench.rating.sql("select * from rating.drift_i4_legs") == []


async def test_only_national_calls_use_free_minutes_and_only_a_long_call_raises_an_alarm(
    monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """The client of N18, N20, D10 and D11 has 100 free minutes; D04 is a call of 12 hours."""
    cases = [case for case in CASES if case.client_id == "h2" or case.id in ("D03", "D04")]
    assert len(cases) == 6
    async with open_public_bench(database, monkeypatch) as bench:
        await bill(bench, cases)
        assert await bench.rating.free_used("h2") == 120
        alarms = await bench.rating.sql("select key, subject from rating.alarm")
        (long,) = [case for case in cases if case.id == "D04"]
        uuid = long.body["variables"]["uuid"]
        assert [tuple(row) for row in alarms] == [("long-call", f"pbx1/{long.tenant}/{uuid}")]


@pytest.mark.parametrize("deck", [*DECKS[:3], REFUSED_DECK], ids=lambda deck: deck.file)
async def test_an_import_of_a_doubtful_deck_is_refused_or_warns(
    deck: PublicDeck, database: str
) -> None:
    """The decks of T, as they came, without the options with which they are imported."""
    async with running_api(database, clock=FixedClock(IMPORTED_AT)) as api:
        answer = await api.import_card(deck.text)
        assert deck.doubt in answer.text
        assert answer.status_code == (201 if deck.is_imported_as_it_came else 422)

"""Which entries a verification reads: all behind the checkpoints, in parts of bounded size."""

from rating.audit.checkpoints.windows import (
    BATCH,
    CheckedAccount,
    LedgerSums,
    Window,
    batches,
    windows,
)


def account(version: int, sealed: int = 0, name: str = "1001") -> CheckedAccount:
    return CheckedAccount(name, "CAD", 0, version, 0, sealed, LedgerSums())


def spans(found: list[Window]) -> list[tuple[int, int, bool, bool]]:
    return [(w.after, w.upto, w.seals, w.reads_rows) for w in found]


def test_without_a_budget_everything_behind_the_checkpoint_is_checked() -> None:
    found = list(windows([account(BATCH + 650, sealed=400)], None))
    assert spans(found) == [(400, BATCH + 400, True, True), (BATCH + 400, BATCH + 650, True, True)]
    assert list(windows([account(400, sealed=400)], None)) == []


def test_beyond_a_budget_whole_slices_wait_with_all_but_their_sums() -> None:
    found = list(windows([account(450), account(250, name="1002"), account(30, name="1003")], 400))
    assert spans(found) == [
        (0, 400, True, True),
        (400, 450, False, True),
        (0, 200, False, False),
        (200, 250, False, True),
        (0, 30, False, True),
    ]


def test_windows_are_read_together_up_to_a_batch() -> None:
    small = [account(BATCH // 2, name=str(number)) for number in range(3)]
    assert [len(batch) for batch in batches(windows(small, None))] == [2, 1]

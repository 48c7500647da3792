"""How soon to ask a source again: pure."""

QUIET_S = 60.0
"""So long after the last new call the lane is taken to be at rest."""


def next_poll_s(quiet_s: float, poll_s: float, rest_s: float) -> float:
    """Seconds from one poll's beginning to the next, `quiet_s` after the last new call.

    `poll_s` while calls arrive; then slower, in proportion to the quiet, up to `rest_s`. So a call
    is fetched within `poll_s` of its end on a busy lane, and within `rest_s` on any.
    """
    slowed_s = poll_s * max(1.0, quiet_s / QUIET_S)
    return max(poll_s, min(rest_s, slowed_s))


def backed_off_s(failures: int, poll_s: float, most_s: float) -> float:
    """Seconds to wait after so many failures in a row: doubling from twice `poll_s`."""
    return float(min(most_s, poll_s * 2 ** min(failures, 10)))

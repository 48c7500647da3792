"""The seconds until the next poll of a source: pure."""

QUIET_S = 60.0
"""A feed without a new call for longer than this is polled less often."""


def next_poll_s(quiet_s: float, poll_s: float, rest_s: float) -> float:
    """Seconds from the start of one poll to the start of the next.

    `quiet_s` is the time since the last new call. The interval is `poll_s` while calls arrive,
    then grows in proportion to `quiet_s`, up to `rest_s`. So a call is fetched within `poll_s` of
    its end on a busy feed, and within `rest_s` on any feed.
    """
    slowed_s = poll_s * max(1.0, quiet_s / QUIET_S)
    return max(poll_s, min(rest_s, slowed_s))


def backed_off_s(failures: int, poll_s: float, most_s: float) -> float:
    """Seconds to wait after `failures` failures in a row: doubles from `2 * poll_s` to `most_s`."""
    return float(min(most_s, poll_s * 2 ** min(failures, 10)))

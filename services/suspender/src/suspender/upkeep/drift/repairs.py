"""How often an element is switched off again: pure.

A person or program that keeps switching an element on must not make the PBX toggle for ever.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

REPAIRS_PER_HOUR = 3
HOUR = timedelta(hours=1)


def repair(repairs: Sequence[datetime], now: datetime) -> tuple[list[datetime], bool]:
    """The repairs of the last hour, including the present one if it is allowed; whether it is."""
    recent = [at for at in repairs if at > now - HOUR]
    if len(recent) >= REPAIRS_PER_HOUR:
        return recent, False
    return [*recent, now], True

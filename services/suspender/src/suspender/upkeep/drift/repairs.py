"""How often an element is switched off again: pure.

Somebody who fights a suspension, or a program that does, must not make a PBX toggle for ever.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

REPAIRS_PER_HOUR = 3
HOUR = timedelta(hours=1)


def repair(repairs: Sequence[datetime], now: datetime) -> tuple[list[datetime], bool]:
    """The repairs of the last hour, that of now included if there is one; whether there is."""
    recent = [at for at in repairs if at > now - HOUR]
    if len(recent) >= REPAIRS_PER_HOUR:
        return recent, False
    return [*recent, now], True

"""The types of responses about waves. Pure."""

from typing import Literal

from accounts.answers import Answer
from ringfence_contracts.events.account import OperatingMode


class WaveClient(Answer):
    """A client, and the outcome of its change of mode.

    `outcome`: on or off after it; none: it has no VoIP service; same: it has the mode already;
    refused: it cannot go live. `what_happens` says it in words, `reason` why it would be off.
    `adopts` counts what is off on the PBX and counts as switched off by ringfence from then on.
    """

    account_id: str
    first_name: str
    last_name: str
    company_name: str
    currency: str
    balance_micro: int | None
    balance: str | None
    mode: OperatingMode
    state: str
    would: str | None
    level: str | None
    reason: str
    outcome: Literal["on", "off", "none", "same", "refused"]
    what_happens: str
    adopts: int


class Wave(Answer):
    """The clients of a wave, in the order in which it switches them.

    Of all that match and have the other mode: `total` counts them, `off` those that would be
    switched off (to live) or are off (to shadow), `refused` those that cannot go live.
    """

    to: OperatingMode
    items: list[WaveClient]
    total: int
    off: int
    refused: int
    brake: bool

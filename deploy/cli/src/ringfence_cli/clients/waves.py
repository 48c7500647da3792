"""Switches the mode of many clients in waves. A wave is confirmed before the next begins."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from ringfence_cli.connection import ApiClient, ApiRefusal, path_of

WAVE_S = 120.0
_LOOK_EVERY_S = 0.5
_OUTCOME_OF = {"on": "on", "off": "off", "no-service": "none", "failed": "failed"}


class Switched(NamedTuple):
    """The outcome of one client: on, off, none (no VoIP service), failed, waiting or refused.

    `adopts` counts elements that were off on the PBX and now count as switched off by ringfence.
    """

    account: str
    outcome: str
    why: str
    adopts: int = 0


class _Pending(NamedTuple):
    account: str
    expected: str | None
    """The state that the PBX will have; None: any confirmed state."""


def switch_in_waves(
    api: ApiClient, accounts: Sequence[str], body: dict[str, Any], at_once: int
) -> list[Switched]:
    """Switch the mode of all `accounts`, `at_once` at a time; progress goes to standard error."""
    done: list[Switched] = []
    waves = [accounts[at : at + at_once] for at in range(0, len(accounts), at_once)]
    for number, wave in enumerate(waves, 1):
        begun = time.monotonic()
        found = _switch_wave(api, wave, body)
        done += found
        counts = ", ".join(
            f"{sum(1 for each in found if each.outcome == outcome)} {outcome}"
            for outcome in dict.fromkeys(each.outcome for each in found)
        )
        click.echo(
            f"wave {number} of {len(waves)}: {counts} ({len(done)} of {len(accounts)} clients,"
            f" {time.monotonic() - begun:.1f} s)",
            err=True,
        )
    return done


def _switch_wave(api: ApiClient, wave: Sequence[str], body: dict[str, Any]) -> list[Switched]:
    outcomes: dict[str, Switched] = {}
    adopts: dict[str, int] = {}
    pending: list[_Pending] = []
    for account in wave:
        before = api.attempt("GET", path_of("clients", account))
        if isinstance(before, ApiRefusal):
            outcomes[account] = Switched(account, "refused", before.message)
            continue
        answer = api.attempt("PUT", path_of("clients", account, "mode"), json=body)
        if isinstance(answer, ApiRefusal):
            outcomes[account] = Switched(account, "refused", answer.message)
        else:
            adopts[account] = answer["adopts"]
            pending.append(_Pending(account, _expected(before, body)))
    for switched in _await(api, pending):
        outcomes[switched.account] = switched._replace(adopts=adopts[switched.account])
    return [outcomes[account] for account in wave]


def _expected(before: dict[str, Any], body: dict[str, Any]) -> str | None:
    """The state to wait for. Live: what `would` says. Shadow: on, unless it is left off."""
    if before["state"] == "no-service" or before["mode"] == body["mode"]:
        return None
    if body["mode"] == "live":
        would: str | None = before["would"]
        return would
    return str(before["state"]) if body["leave"] else "on"


def _await(api: ApiClient, pending: list[_Pending]) -> list[Switched]:
    """Wait until each is confirmed or failed, at most `WAVE_S` for all of them."""
    done: list[Switched] = []
    deadline = time.monotonic() + WAVE_S
    while pending:
        last_look = time.monotonic() >= deadline
        braked = api.get("/brake")["on"]
        left: list[_Pending] = []
        for each in pending:
            client = api.get(path_of("clients", each.account))
            found = _outcome(each, client, braked=braked)
            if found is None and last_look:
                why = f"{client['state']} after {WAVE_S:.0f} s: `ringfence services {each.account}`"
                found = Switched(each.account, "waiting", why)
            if found is None:
                left.append(each)
            else:
                done.append(found)
        pending = left
        if pending:
            time.sleep(_LOOK_EVERY_S)
    return done


def _outcome(pending: _Pending, client: dict[str, Any], *, braked: bool) -> Switched | None:
    """The outcome of a client; None while it is open."""
    account, expected, state = pending.account, pending.expected, client["state"]
    if state in ("failed", "no-service"):
        return Switched(account, _OUTCOME_OF[state], _why_failed(client))
    if state == "switching":
        return None
    if braked and (expected, state) == ("off", "on"):
        return Switched(account, "on", "would be off, but the brake is on: `ringfence brake`")
    return Switched(account, state, "") if expected in (None, state) else None


def _why_failed(client: dict[str, Any]) -> str:
    if client["state"] != "failed":
        return ""
    failures: dict[str, str] = client["suspension_failures"]
    return "; ".join(f"{name}: {why}" for name, why in failures.items()) or str(client["reason"])

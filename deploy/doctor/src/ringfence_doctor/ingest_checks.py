"""Checks of what cdr-ingest has saved about a server."""

from collections.abc import Iterator
from datetime import timedelta

from cdr_ingest.receiver.formats import PushingServer
from ringfence.clock import Clock
from ringfence_doctor.check_result import CheckResult, age, in_words
from ringfence_doctor.examinations.receiver import ReceiverAddress
from ringfence_doctor.store import IngestState
from ringfence_pbx.servers import FusionPbxServer, VodiaServer


def examine_retention(
    server_id: str, server: VodiaServer, ingest_state: IngestState, clock: Clock
) -> Iterator[CheckResult]:
    """For each tenant that was read before: the time until the PBX deletes calls unread."""
    for tenant in server.tenants:
        read_until = ingest_state.read_until.get((server_id, tenant))
        if read_until is None:
            continue
        subject, now = f"{server_id} {tenant}", clock.now()
        left_s = int((read_until + timedelta(seconds=server.retention_s) - now).total_seconds())
        message = f"read until {age(read_until, now)}"
        action = "see that cdr-ingest runs and can read it, or have the PBX keep calls for longer"
        if left_s <= 0:
            message = f"{message}: calls that the PBX deleted since then may be lost for good"
            yield CheckResult(subject, "retention", "fail", message, action)
        elif left_s <= server.retention_margin_s:
            message = f"{message}; the PBX deletes unread calls in {in_words(left_s)}"
            yield CheckResult(subject, "retention", "warn", message, action)
        else:
            message = f"{message}; {in_words(left_s)} left before the PBX deletes a call"
            yield CheckResult(subject, "retention", "ok", message)


def examine_posts(
    server_id: str,
    server: PushingServer,
    ingest_state: IngestState,
    receiver: ReceiverAddress,
    clock: Clock,
) -> CheckResult:
    """When a server last posted a call."""
    if ingest_state.unknown:
        message, action = (
            f"unknown: {ingest_state.unknown}",
            "see that RINGFENCE_POSTGRES_DSN leads to it",
        )
        return CheckResult(server_id, "last posted call", "warn", message, action)
    posted_at = ingest_state.posted_at.get(server_id)
    if posted_at is None:
        message, action = (
            "none came within a week",
            f"{_how_to_post(server_id, server, receiver)}; docs/push.md",
        )
        return CheckResult(server_id, "last posted call", "warn", message, action)
    message = f"came {posted_at:%Y-%m-%d %H:%M:%S} UTC, {age(posted_at, clock.now())}"
    return CheckResult(server_id, "last posted call", "ok", message)


def examine_legs(server_id: str, ingest_state: IngestState) -> Iterator[CheckResult]:
    """Whether a FusionPBX records the legs of calls: else forwards to a carrier are free."""
    legs = ingest_state.legs.get(server_id)
    if legs is None:
        return
    unnamed, missing = ingest_state.lost_legs.get(server_id, (0, 0))
    if unnamed or missing:
        message = (
            f"{unnamed + missing} legs of the last week that left by a carrier are charged to"
            f" nobody: {unnamed} name no call, and the call of {missing} did not come"
        )
        action = (
            "by export, run `ringfence server sign-export"
            f" {server_id}`, so that the export names the call of each leg; see that both legs"
            " are recorded, and what became of those calls: `ringfence dead list`; docs/push.md,"
            " section 5"
        )
        yield CheckResult(server_id, "legs", "warn", message, action)
        return
    if legs:
        message = f"{legs} of its newest 1000 records at most are legs of other calls"
        yield CheckResult(server_id, "legs", "ok", message)
        return
    message = (
        "none of its newest records is a leg of another call: a call that is forwarded or"
        " transferred to a carrier is not charged for the way out"
    )
    action = (
        "set `log-b-leg` to true in FreeSWITCH's xml_cdr.conf.xml (for push: json_cdr.conf.xml) and"
        f" reload the module; by export, run `ringfence server sign-export {server_id}`, so that"
        " the export names the call of each leg; docs/push.md, section 5"
    )
    yield CheckResult(server_id, "legs", "warn", message, action)


def examine_second_trunks(
    server_id: str, server: VodiaServer, ingest_state: IngestState
) -> Iterator[CheckResult]:
    """Whether calls of a Vodia left by a second trunk, of which its list shows no number."""
    missing = sum(ingest_state.lost_legs.get(server_id, (0, 0)))
    if missing:
        message = (
            f"{missing} calls of the last week came in by one trunk and left by another, and their"
            " numbers are not known: nobody is charged for the way out"
        )
        post = (
            f"set `push`, and the PBX's CDR URL to json://USER:PASSWORD@HOST/cdr/{server_id}/json"
        )
        action = "see that its posts arrive" if server.push else post
        action = f"{action}; docs/vodia.md, section Two trunks"
        yield CheckResult(server_id, "legs", "warn", message, action)
    elif ingest_state.legs.get(server_id):
        message = (
            f"{ingest_state.legs[server_id]} of its newest 1000 records left by a second trunk"
        )
        yield CheckResult(server_id, "legs", "ok", message)


def _how_to_post(server_id: str, server: PushingServer, receiver: ReceiverAddress) -> str:
    path = f"HOST:{receiver.port or 'PORT'}/cdr/{server_id}/json"
    if isinstance(server, FusionPbxServer):
        return (
            f"in FreeSWITCH's json_cdr.conf.xml, set `url` to http://{path} and `cred` to the user"
            " and password of `push`, then reload mod_json_cdr; look into its err-log-dir"
        )
    return f"set the PBX's CDR URL to json://USER:PASSWORD@{path}, as `push` has them"

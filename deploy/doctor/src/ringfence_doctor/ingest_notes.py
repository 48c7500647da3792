"""What cdr-ingest itself has noted of a server, as findings: for `ringfence doctor`."""

from collections.abc import Iterator
from datetime import timedelta

from cdr_ingest.receiver.formats import PushingServer
from ringfence.clock import Clock
from ringfence_doctor.examinations.receiver import Door
from ringfence_doctor.finding import Finding, age, in_words
from ringfence_doctor.store import Intake
from ringfence_pbx.servers import FusionPbxServer, VodiaServer


def examine_retention(
    server_id: str, server: VodiaServer, intake: Intake, clock: Clock
) -> Iterator[Finding]:
    """For each tenant that was ever read, how long until calls that were not are forgotten."""
    for tenant in server.tenants:
        read_until = intake.read_until.get((server_id, tenant))
        if read_until is None:
            continue
        subject, now = f"{server_id} {tenant}", clock.now()
        left_s = int((read_until + timedelta(seconds=server.retention_s) - now).total_seconds())
        said = f"read until {age(read_until, now)}"
        do = "see that cdr-ingest runs and can read it, or have the PBX keep calls for longer"
        if left_s <= 0:
            said = f"{said}: what it forgot since then may be lost for good"
            yield Finding(subject, "retention", "fail", said, do)
        elif left_s <= server.retention_margin_s:
            said = f"{said}; calls are forgotten in {in_words(left_s)}"
            yield Finding(subject, "retention", "warn", said, do)
        else:
            said = f"{said}; {in_words(left_s)} in hand before a call is forgotten"
            yield Finding(subject, "retention", "ok", said)


def examine_posts(
    server_id: str, server: PushingServer, intake: Intake, door: Door, clock: Clock
) -> Finding:
    """When a server last posted a call."""
    if intake.unknown:
        said, do = (
            f"can not be told: {intake.unknown}",
            "see that RINGFENCE_POSTGRES_DSN leads to it",
        )
        return Finding(server_id, "last posted call", "warn", said, do)
    posted_at = intake.posted_at.get(server_id)
    if posted_at is None:
        said, do = (
            "none came within a week",
            f"{_how_to_post(server_id, server, door)}; docs/push.md",
        )
        return Finding(server_id, "last posted call", "warn", said, do)
    said = f"came {posted_at:%Y-%m-%d %H:%M:%S} UTC, {age(posted_at, clock.now())}"
    return Finding(server_id, "last posted call", "ok", said)


def _how_to_post(server_id: str, server: PushingServer, door: Door) -> str:
    path = f"HOST:{door.port or 'PORT'}/cdr/{server_id}/json"
    if isinstance(server, FusionPbxServer):
        return (
            f"in FreeSWITCH's json_cdr.conf.xml, set `url` to http://{path} and `cred` to the user"
            " and password of `push`, then reload mod_json_cdr; look into its err-log-dir"
        )
    return f"set the PBX's CDR URL to json://USER:PASSWORD@{path}, as `push` has them"

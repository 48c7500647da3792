"""Checks a FusionPBX's own database without writing to it."""

from datetime import UTC, datetime

from cdr_ingest.fusionpbx.database import FusionPbxDatabaseSource
from ringfence.clock import Clock
from ringfence_contracts.errors import Retry
from ringfence_doctor.check_result import CheckResult, CheckState, newest_call
from ringfence_doctor.store import read_call_statistics
from ringfence_pbx.errors import Refused

_CLOCK_OK_S = 5


async def examine_database(source: FusionPbxDatabaseSource, clock: Clock) -> list[CheckResult]:
    """All checks of the database from which calls are read."""
    subject = f"{source.server_id} database"

    def finding(check: str, state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult(subject, check, state, message, action)

    try:
        async with source.connected() as connection:
            seen = await read_call_statistics(connection)
    except (Refused, Retry) as error:
        return [finding("reachable", "fail", str(error), "as it says")]
    found = [finding("reachable", "ok", f"answers; {seen['tenants']} tenants called in a day")]
    if seen["writes"]:
        action = "give the role nothing but select on v_xml_cdr and v_extensions"
        found.append(finding("rights", "warn", "the role may change call records", action))
    else:
        found.append(finding("rights", "ok", "the role can only read"))
    if not seen["indexed"]:
        action = "create index concurrently on v_xml_cdr (insert_date), or each poll reads all rows"
        found.append(finding("index", "warn", "none on insert_date", action))
    apart_s = round((seen["now"] - clock.now()).total_seconds())
    state: CheckState = "ok" if abs(apart_s) <= _CLOCK_OK_S else "warn"
    found.append(finding("clock", state, f"{abs(apart_s)} s apart from ours"))
    if seen["newest"] is None:
        action = "make a test call, and see whether it appears in the PBX's own list"
        return [*found, finding("newest call", "warn", "none within a week", action)]
    newest = datetime.fromtimestamp(seen["newest"], UTC)
    return [*found, newest_call(subject, newest, clock.now())]

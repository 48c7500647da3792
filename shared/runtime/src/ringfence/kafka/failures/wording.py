"""The texts of the alarms about failed records. Pure."""

from ringfence.kafka.failures.crash_ranges import CrashRange
from ringfence.kafka.failures.reject_limit import RejectLimit
from ringfence_contracts.errors import shown
from ringfence_contracts.events.alarm import AlarmText
from ringfence_contracts.events.model import is_id
from ringfence_contracts.records import Received, Rejected
from ringfence_contracts.topics import BY_NAME

REJECT_ALARM = "records-rejected"
CRASH_ALARM = "record-crashed"
_MAX_REASON = 300


def reject_alarm(dead: Rejected, source: str, limit: RejectLimit, schema: str) -> AlarmText:
    """The alarm about a source that is over the reject limit."""
    topic = BY_NAME.get(dead.received.topic)
    is_account = topic is not None and topic.keyed_by == "account_id" and is_id(source)
    hours = limit.window.total_seconds() / 3600
    return AlarmText(
        message=f"More than {limit.limit} records of {source} were rejected within {hours:g} h, the"
        f" last from {dead.received.topic}. Its reason: {_short(dead.reason)}",
        what_to_do="Find out who writes these records, and have it corrected. Good records of this"
        " source are processed as ever; its further bad ones are kept, with their reasons, in"
        f" {schema}.rejected_record (view report.rejected_record).",
        account_id=source if is_account else None,
    )


def crash_subject(received: Received) -> str:
    """The subject of the alarm about one record: topic, partition and offset."""
    return f"{received.topic}/{received.partition}/{received.offset}"


def crash_reason(crash: CrashRange) -> str:
    """The reason in the dead letter of a record that crashed."""
    return f"ended the process {crash.crashes} times, the last time alone: {crash.reason}"


def crash_alarm(received: Received, crash: CrashRange, consumer: str) -> AlarmText:
    """The alarm about a record that crashed."""
    return AlarmText(
        message=f"The record at offset {received.offset} of {received.topic}, partition"
        f" {received.partition}, key {shown((received.key or b'').decode('utf-8', 'replace'))},"
        f" ended {consumer} {crash.crashes} times: {_short(crash.reason)}. It is a dead"
        " letter now, and the records behind it are processed.",
        what_to_do="This is a bug of ringfence: report it with the traceback, which is in the dead"
        " letter. Have the dead letter processed again after an update.",
        severity="critical",
    )


def _short(reason: str) -> str:
    """The beginning of a reason, as an alarm may contain it."""
    return reason[:_MAX_REASON].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()

"""The status of a call in FusionPBX's words: pure. It is only shown; no charge depends on it."""

from collections.abc import Callable

_BY_CAUSE = {
    "NO_ANSWER": "no_answer",
    "ORIGINATOR_CANCEL": "cancelled",
    "USER_BUSY": "busy",
    **dict.fromkeys(
        (
            *("CALL_REJECTED", "CHAN_NOT_IMPLEMENTED", "DESTINATION_OUT_OF_ORDER"),
            *("EXCHANGE_ROUTING_ERROR", "INCOMPATIBLE_DESTINATION", "INVALID_NUMBER_FORMAT"),
            *("MANDATORY_IE_MISSING", "NETWORK_OUT_OF_ORDER", "NORMAL_TEMPORARY_FAILURE"),
            *("NORMAL_UNSPECIFIED", "NO_ROUTE_DESTINATION", "RECOVERY_ON_TIMER_EXPIRE"),
            *("REQUESTED_CHAN_UNAVAIL", "SUBSCRIBER_ABSENT", "SYSTEM_SHUTDOWN"),
            "UNALLOCATED_NUMBER",
        ),
        "failed",
    ),
}
_VOICEMAIL = "*99"


def call_status(get: Callable[[str], str], billsec: int, destination_number: str) -> str:
    """The status that FusionPBX 5.5 gives; `get` reads a channel variable.

    As in FusionPBX, the hangup cause takes precedence over talk time: an answered call can be
    `failed`.
    """
    if get("voicemail_message_seconds") or destination_number.startswith(_VOICEMAIL):
        return "voicemail"
    if get("missed_call") == "true":
        return "missed"
    by_cause = _BY_CAUSE.get(get("hangup_cause"))
    if by_cause:
        return by_cause
    if billsec:
        return "answered"
    failed = _BY_CAUSE.get(get("last_bridge_hangup_cause")) == "failed"
    return "failed" if failed else "no_answer"

"""An ended channel, the input of the CDR modules."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import NAMESPACE_OID, uuid4, uuid5

from ringfence_simulators.fusionpbx.calls import (
    FusionPbxCallSpec,
    SimulatedFusionPbxCall,
    make_call,
)

_STATISTICS = tuple(
    f"rtp_audio_{way}_{what}"
    for way in ("in", "out")
    for what in (
        *("raw_bytes", "media_bytes", "packet_count", "media_packet_count", "skip_packet_count"),
        *("jitter_packet_count", "dtmf_packet_count", "cng_packet_count", "flush_packet_count"),
        *("largest_jb_size", "jitter_min_variance", "jitter_max_variance", "jitter_loss_rate"),
        *("jitter_burst_rate", "mean_interval", "flaw_total", "quality_percentage", "mos"),
    )
)
_SDP = (
    "v=0\r\no=- 1 1 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nm=audio 5004 RTP/AVP 0\r\n"
)


@dataclass(frozen=True)
class EndedChannel:
    """Its variables, and the caller profile of its newest call flow.

    With an `originator`, it is a B leg, which another channel has originated.
    """

    uuid: str
    variables: dict[str, str]
    profile: dict[str, str]
    originator: dict[str, str] = field(default_factory=dict)


def new_channel(spec: FusionPbxCallSpec) -> EndedChannel:
    """The A leg of a call that has just ended; `spec` is that of the simulated FusionPBX."""
    domain = str(spec["domain_name"])
    spec = {"xml_cdr_uuid": str(uuid4()), **spec}
    now = float(spec.get("ends_at", datetime.now().timestamp()))
    return channel_of(make_call(spec, str(uuid5(NAMESPACE_OID, domain)), now), domain)


def channel_of(call: SimulatedFusionPbxCall, domain: str = "") -> EndedChannel:
    """The channel from which FusionPBX's importer would create this row.

    A row of leg b that names its origin was originated by that channel.
    """
    row = call.columns
    domain = row.get("domain_name") or domain
    start, answer, end = (_epoch(row[f"{what}_stamp"]) for what in ("start", "answer", "end"))
    variables = {
        "uuid": row["xml_cdr_uuid"],
        "call_uuid": row["xml_cdr_uuid"],
        "domain_name": domain,
        "domain_uuid": row["domain_uuid"],
        **_sip(row, domain),
        **_dialplan(row),
        **_clock(start, answer, end),
        **_leg(row),
        "billsec": row["billsec"],
        "billmsec": row["billmsec"],
        "duration": str(end - start),
        "mduration": str((end - start) * 1000),
        "hangup_cause": row.get("hangup_cause", "") or "NORMAL_CLEARING",
        **dict.fromkeys(_STATISTICS, "0.00"),
    }
    profile = {
        "username": row["extension"],
        "dialplan": "XML",
        "caller_id_name": row["caller_id_name"],
        "caller_id_number": row["caller_id_number"],
        "network_addr": "203.0.113.9",
        "destination_number": row["destination_number"],
        "uuid": row["xml_cdr_uuid"],
        "source": "mod_sofia",
        "context": domain,
    }
    origin = row.get("originating_leg_uuid", "") if row["leg"] == "b" else ""
    return EndedChannel(row["xml_cdr_uuid"], variables, profile, {"uuid": origin} if origin else {})


def b_leg(channel: EndedChannel) -> EndedChannel:
    """The B leg of a bridged call: a channel of its own, originated by the A leg."""
    uuid = str(uuid5(NAMESPACE_OID, channel.uuid))
    variables = {
        **channel.variables,
        "uuid": uuid,
        "call_uuid": channel.uuid,
        "originating_leg_uuid": channel.uuid,
    }
    return EndedChannel(
        uuid, variables, {**channel.profile, "uuid": uuid}, originator=channel.profile
    )


def _sip(row: dict[str, str], domain: str) -> dict[str, str]:
    inbound = row["direction"] == "inbound"
    host = "carrier.example" if inbound else domain
    user = row["caller_id_number"]
    return {
        "sip_call_id": row["sip_call_id"],
        "sip_from_user": user,
        "sip_from_host": host,
        "sip_from_domain": host,
        "sip_from_display": row["caller_id_name"],
        "sip_full_from": f'"{row["caller_id_name"]}" <sip:{user}@{host}>;tag=9f90cc40',
        "sip_to_user": row["caller_destination"] if inbound else row["destination_number"],
        "sip_user_agent": "Yealink SIP-T46S 66.85.0.5",
        "switch_r_sdp": _SDP,
        "channel_name": f"sofia/internal/{user}@{host}",
    }


def _leg(row: dict[str, str]) -> dict[str, str]:
    """What FreeSWITCH notes about a channel that another one caused, and of an agent's channel."""
    noted = {
        "originating_leg_uuid": row.get("originating_leg_uuid", ""),
        "bridge_uuid": row["bridge_uuid"],
        "cc_side": row["cc_side"],
        "cc_member_session_uuid": row.get("cc_member_session_uuid", ""),
    }
    if gateway := row.get("gateway", ""):
        number = row["destination_number"]
        noted |= {
            "sip_gateway_name": gateway,
            "channel_name": f"sofia/external/{number}@carrier.example",
        }
    return {name: value for name, value in noted.items() if value}


def _dialplan(row: dict[str, str]) -> dict[str, str]:
    """The variables that FusionPBX's dialplan and directory set; empty ones are not set."""
    extension = row["extension"]
    known = {
        "call_direction": row["direction"],
        "caller_destination": row["caller_destination"],
        "accountcode": row.get("accountcode", ""),
        "effective_caller_id_number": row["source_number"],
        "origination_caller_id_number": row["caller_id_number"],
        "user_name": "" if row["direction"] == "inbound" else extension,
        "dialed_user": extension if row["direction"] == "inbound" else "",
        "extension_uuid": str(uuid5(NAMESPACE_OID, extension)) if extension else "",
    }
    return {name: value for name, value in known.items() if value}


def _clock(start: int, answer: int, end: int) -> dict[str, str]:
    """The times in seconds, in microseconds, and in the switch's local time, UTC-5."""
    times: dict[str, str] = {}
    for name, epoch in (("start", start), ("answer", answer), ("end", end)):
        wall = datetime.fromtimestamp(epoch - 5 * 3600 if epoch else 0).strftime("%F %T")
        times |= {
            f"{name}_stamp": wall if epoch else "",
            f"{name}_epoch": str(epoch),
            f"{name}_uepoch": str(epoch * 1_000_000),
        }
    return {name: value for name, value in times.items() if value}


def _epoch(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp())

"""Calls in progress: the channels that the switch lists, and the record at the end."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ringfence_simulators.fusionpbx.calls import FusionPbxCallSpec
from ringfence_simulators.fusionpbx.things import SimulatedExtension


@dataclass(frozen=True)
class SimulatedChannel:
    """A row of `show channels`, with the columns that FusionPBX's page shows."""

    uuid: str
    profile: str
    number: str
    domain: str
    created: str
    caller_name: str
    caller_number: str
    destination: str
    application: str


@dataclass(frozen=True)
class LiveCall:
    """A call in progress. `number` is the other side; times in Unix seconds.

    While it is bridged it has two channels: the caller's, whose uuid the record gets, and the
    callee's.
    """

    uuid: str
    other_uuid: str
    domain: str
    extension: str
    direction: str
    number: str
    caller_name: str
    began_at: float
    bridged: bool = True

    @property
    def channels(self) -> list[SimulatedChannel]:
        """Its channels, as the switch lists them."""
        caller, callee = self.extension, self.number
        sides = ["internal", "internal" if self.direction == "local" else "external"]
        if self.direction == "inbound":
            caller, callee = callee, caller
            sides.reverse()
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.began_at))
        shared = (self.domain, created, self.caller_name, caller, callee)
        application = f"bridge:sofia/{sides[1]}/{callee}" if self.bridged else "park:"
        first = SimulatedChannel(self.uuid, sides[0], caller, *shared, application)
        second = SimulatedChannel(self.other_uuid, sides[1], callee, *shared, "")
        return [first, second] if self.bridged else [first]


def begin(spec: dict[str, Any], extension: SimulatedExtension, now: float) -> LiveCall:
    """A call by its spec: `number` (the other side), and optional fields.

    These are `direction` (outbound, inbound, local), `seconds` (its duration so far), `uuid`, and
    `bridged` (false: it still rings and has one channel). Raises ValueError for other fields.
    """
    known = {"extension", "domain", "number", "direction", "seconds", "uuid", "bridged"}
    if unknown := spec.keys() - known:
        raise ValueError(f"{sorted(unknown)}: only {sorted(known)}")
    return LiveCall(
        uuid=str(spec.get("uuid") or uuid4()),
        other_uuid=str(uuid4()),
        domain=extension.domain,
        extension=extension.number,
        direction=str(spec.get("direction", "outbound")),
        number=str(spec["number"]),
        caller_name=extension.caller_name,
        began_at=now - float(spec.get("seconds", 0)),
        bridged=bool(spec.get("bridged", True)),
    )


def record_of(call: LiveCall, now: float, cause: str) -> FusionPbxCallSpec:
    """The record of a call that ends now."""
    did = call.extension if call.direction == "inbound" else call.number
    return {
        "xml_cdr_uuid": call.uuid,
        "domain_name": call.domain,
        "direction": call.direction,
        "extension": call.extension,
        "caller_id_number": call.number if call.direction == "inbound" else call.extension,
        "caller_destination": did,
        "destination_number": did,
        "ring_s": 0,
        "billsec": int(now - call.began_at) if call.bridged else 0,
        "sip_hangup_disposition": "send_bye" if cause == "MANAGER_REQUEST" else "recv_bye",
    }

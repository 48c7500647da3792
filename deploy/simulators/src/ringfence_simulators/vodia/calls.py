"""Calls, as the list of calls contains them and as they are posted when they end."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

VodiaCallSpec = dict[str, Any]
"""A call as the control interface gets it; everything except `domain` has a default.

`direction` (outbound, inbound, local), `extension`, `extension_name`, `number`, `did`, `trunk`,
`talk_s`, `ring_s`, `ends_at` (Unix seconds), `primary_id`, `id`; `forward_to` and `out_trunk` of an
inbound call that its extension forwards out, which talked there for `forward_s`; `record` overrides
fields of the record in the list, unchanged.
"""


@dataclass(frozen=True)
class SimulatedVodiaCall:
    """A finished call; an outbound one has two legs, and the trunk's has an id of its own.

    One that was forwarded out has two trunks' legs: `out_id` is the id of the one that went out.
    """

    id: int
    domain: str
    direction: Literal["outbound", "inbound", "local"]
    extension: str
    extension_name: str
    number: str
    did: str
    trunk: str
    start: float
    connect: float | None
    end: float
    primary_id: str
    trunk_id: str
    record: dict[str, Any]
    forward_to: str = ""
    forward_s: float = 0.0
    out_trunk: str = ""
    out_id: str = ""

    def listed(self, by: Literal["PrimaryCallID", "CallID"]) -> dict[str, Any]:
        """The record of the list of calls: times in floats, no direction."""
        return {
            "id": self.id,
            "call_id": self.primary_id if by == "PrimaryCallID" else self.trunk_id,
            "from": self._from(),
            "to": self._to(),
            "start": self.start,
            "connect": "" if self.connect is None else self.connect,
            "end": self.end,
            "extensions": [int(self.extension)] if self.extension.isdecimal() else [],
            "trunks": [t for t in (self.trunk, self.out_trunk) if t and self.direction != "local"],
            "abandoned": self.connect is None,
            **self.record,
        }

    def _from(self) -> str:
        if self.direction == "inbound":
            return f'"Somebody" <sip:{self.number}@{self.domain}>'
        return f'"{self.extension_name}" <sip:{self.extension}@{self.domain}>'

    def _to(self) -> str:
        if self.direction == "inbound":
            return f'"{self.extension_name}" <sip:{self.did}@{self.domain}>'
        return f"<sip:{self.number}@{self.domain}>"

    def legs(self, system: str) -> list[dict[str, Any]]:
        """The bodies that `json` posts, one for each leg, the telephone's first."""
        inside = {
            "CallID": self.primary_id if self.direction != "inbound" else f"{self.id}x@pbx",
            "Direction": "O" if self.direction == "inbound" else "I",
            "RemoteParty": self.extension,
            "LocalParty": self.number,
            "TrunkName": "",
            "TrunkID": "",
            "Extension": self.extension,
            "ExtensionName": self.extension_name,
        }
        outside = {
            "CallID": self.trunk_id,
            "Direction": "I" if self.direction == "inbound" else "O",
            "RemoteParty": self.number,
            "LocalParty": self.did if self.direction == "inbound" else self.extension,
            "TrunkName": f"Trunk {self.trunk}",
            "TrunkID": self.trunk,
            "Extension": "",
            "ExtensionName": "",
        }
        legs = [inside] if self.direction == "local" else [inside, outside]
        legs += [self._way_out()] if self.forward_to else []
        return [{**self._whole_leg(system), **leg} for leg in legs]

    def _way_out(self) -> dict[str, Any]:
        """The leg by which a forwarded call left: the caller is the one from outside."""
        return {
            "CallID": self.out_id,
            "Direction": "O",
            "To": f"<sip:{self.forward_to}@{self.domain}>",
            "RemoteParty": self.forward_to,
            "LocalParty": self.extension,
            "TrunkName": f"Trunk {self.out_trunk}",
            "TrunkID": self.out_trunk,
            "Extension": self.extension,
            "ExtensionName": self.extension_name,
            "TimeConnected": str(self.end - self.forward_s) if self.forward_s else "",
        }

    def _whole_leg(self, system: str) -> dict[str, Any]:
        duration = 0.0 if self.connect is None else self.end - self.connect
        return {
            "action": "call-data-record",
            "System": system,
            "PrimaryCallID": self.primary_id,
            "From": self._from(),
            "To": self._to(),
            "Cost": "",
            "CMC": "",
            "Domain": self.domain,
            "TimeStart": str(self.start),
            "TimeConnected": "" if self.connect is None else str(self.connect),
            "TimeEnd": str(self.end),
            "LocalTime": datetime.fromtimestamp(self.start, UTC).strftime("%Y%m%d%H%M%S"),
            "Duration": str(int(duration)),
            "DurationHHMMSS": "",
            "Type": "extcall",
            "IdleDuration": "0",
            "RingDuration": "0",
            "HoldDuration": "0",
            "IvrDuration": "0",
            "AccountNumber": "",
            "IPAdr": "203.0.113.9",
        }

    def webcdr(self, system: str) -> dict[str, Any]:
        """The body that `webcdr` posts, as far as it is documented."""
        return {
            "version": "70.3",
            "system": system,
            "domain": self.domain,
            "callid": self.primary_id,
            "from": self._from(),
            "to": self._to(),
            "start": self.start,
            "connect": "" if self.connect is None else self.connect,
            "trunks": [],
            "extensions": [],
        }


def make_call(spec: VodiaCallSpec, number: int, now: float) -> SimulatedVodiaCall:
    """A call by its spec; without times, it has just ended."""
    direction = spec.get("direction", "outbound")
    talk_s, ring_s = float(spec.get("talk_s", 60.0)), float(spec.get("ring_s", 4.0))
    end = round(float(spec.get("ends_at", now)), 2)
    connect = round(end - talk_s, 2) if talk_s else None
    primary = str(spec.get("primary_id", f"{uuid4().hex[:22]}.."))
    return SimulatedVodiaCall(
        id=int(spec.get("id", number)),
        domain=spec["domain"],
        direction=direction,
        extension=str(spec.get("extension", "2112")),
        extension_name=spec.get("extension_name", "CFFM Kitchener"),
        number=str(spec.get("number", "14165550100")),
        did=str(spec.get("did", "5484815577")),
        trunk=str(spec.get("trunk", "10")),
        start=round((end if connect is None else connect) - ring_s, 2),
        connect=connect,
        end=end,
        primary_id=primary,
        trunk_id=primary if direction == "inbound" else f"{number}t{uuid4().hex[:7]}@pbx",
        record=dict(spec.get("record", {})),
        forward_to=str(spec.get("forward_to", "")),
        forward_s=float(spec.get("forward_s", talk_s)),
        out_trunk=str(spec.get("out_trunk", "11" if "forward_to" in spec else "")),
        out_id=f"{number}o{uuid4().hex[:7]}@pbx",
    )

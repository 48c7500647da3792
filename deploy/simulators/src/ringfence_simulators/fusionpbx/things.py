"""Rows of FusionPBX's tables: domains, users, gateways, extensions, destinations, routes."""

from dataclasses import dataclass, field
from uuid import NAMESPACE_DNS, uuid5

from ringfence_simulators.fusionpbx.access import rights


def stable_uuid(*names: str) -> str:
    """The uuid of an element without one, the same at every start."""
    return str(uuid5(NAMESPACE_DNS, "/".join(names)))


@dataclass
class Domain:
    """A tenant."""

    name: str
    uuid: str = ""
    enabled: bool = True
    description: str = ""


@dataclass
class User:
    """A user; `group` is `superadmin` or `admin`.

    `rights` are all rights of the user; None: the group's default. `without` removes single rights.
    """

    name: str
    domain: str
    api_key: str
    group: str = "admin"
    rights: list[str] | None = None
    without: list[str] = field(default_factory=list)

    @property
    def superadmin(self) -> bool:
        """Whether the user belongs to the group of superadmins."""
        return self.group == "superadmin"

    def may(self, right: str) -> bool:
        """Whether the user has a right."""
        default = rights.SUPERADMIN if self.superadmin else rights.ADMIN
        given = default if self.rights is None else self.rights
        return right in given and right not in self.without


@dataclass
class Gateway:
    """A trunk; `domain` is empty for a global one. `live`: whether the switch runs it.

    `registration` is its state if it runs: REGED, NOREG, TRYING, FAIL_WAIT.
    """

    name: str
    uuid: str = ""
    domain: str = ""
    profile: str = "external"
    enabled: bool = True
    live: bool = True
    registration: str = "REGED"
    description: str = ""


@dataclass
class SimulatedExtension:
    """An extension; its outbound calls use `gateway` (a uuid), if there is one.

    `toll_allow` is as stored: names with `:` between them. `form` has the fields of its page that
    this simulator does not interpret. `voicemail`: it has a voicemail box.
    """

    number: str
    domain: str
    uuid: str = ""
    enabled: bool = True
    gateway: str = ""
    caller_name: str = ""
    caller_number: str = ""
    toll_allow: str = ""
    password: str = ""
    accountcode: str = ""
    user_context: str = ""
    voicemail: bool = True
    form: dict[str, str] = field(default_factory=dict)


@dataclass
class Destination:
    """A DID; a call to it goes to `extension` of its domain, if there is one."""

    number: str
    domain: str
    extension: str = ""
    uuid: str = ""
    enabled: bool = True
    description: str = ""

    @property
    def actions(self) -> list[dict[str, str]]:
        """The actions for a call, as FusionPBX stores them."""
        if not self.extension:
            return []
        data = f"{self.extension} XML {self.domain}"
        return [{"destination_app": "transfer", "destination_data": data}]


@dataclass
class Route:
    """An outbound route; `toll_allow` is the expression of its condition `${toll_allow}`, if any.

    A route with an empty `domain` applies to every tenant.
    """

    name: str
    domain: str = ""
    toll_allow: str = ""
    uuid: str = ""
    enabled: bool = True

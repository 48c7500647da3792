"""What a FusionPBX's tables hold: domains, users, gateways, extensions, destinations, routes."""

from dataclasses import dataclass, field
from uuid import NAMESPACE_DNS, uuid5

from ringfence_simulators.fusionpbx.access import rights


def stable_uuid(*names: str) -> str:
    """The uuid of a thing that was given none: the same at every start."""
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
    """Who may log in; `group` is `superadmin` or `admin`.

    `rights` names all that the user may do; None: what the group may by default. `without` takes
    single rights away.
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
    """A trunk; `domain` is empty for a global one. `live` is what the switch runs.

    `registration` is what it says of one that runs: REGED, NOREG, TRYING, FAIL_WAIT.
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
    """A telephone; its outbound calls go through `gateway` (a uuid), if one is named.

    `toll_allow` is as stored: names with `:` between them. `form` holds the fields of its page that
    mean nothing to this simulator. `voicemail`: it has a voicemail box.
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
    """A DID; a call to it goes to `extension` of its domain, or nowhere that is known."""

    number: str
    domain: str
    extension: str = ""
    uuid: str = ""
    enabled: bool = True
    description: str = ""

    @property
    def actions(self) -> list[dict[str, str]]:
        """What happens to a call, as FusionPBX stores it."""
        if not self.extension:
            return []
        data = f"{self.extension} XML {self.domain}"
        return [{"destination_app": "transfer", "destination_data": data}]


@dataclass
class Route:
    """An outbound route; `toll_allow` is the expression of its condition `${toll_allow}`, if any.

    An empty `domain` makes it every tenant's.
    """

    name: str
    domain: str = ""
    toll_allow: str = ""
    uuid: str = ""
    enabled: bool = True

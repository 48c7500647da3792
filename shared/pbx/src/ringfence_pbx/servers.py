"""The servers file: PBXs and providers, read by cdr-ingest and the suspender.

It contains secrets only by reference: the name of an environment variable or of a file.
"""

import os
import tomllib
from decimal import Decimal
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.model import Id
from ringfence_contracts.expected import expected_words
from ringfence_pbx.lesnet.orders import OrderTemplate, ReadBack
from ringfence_pbx.lesnet.profile import Profile
from ringfence_pbx.lesnet.profile_file import default_profile, load_profile


class SecretRef(BaseModel):
    """The location of a secret: `{ env = "NAME" }` or `{ file = "/run/secrets/name" }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "SecretRef":
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of env and file")
        return self

    def read(self) -> SecretStr:
        """The secret. Raises BadInput, which names the location and never the content."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            location = f"environment variable {self.env}"
        else:
            assert self.file is not None
            location = f"file {self.file}"
            value = self.file.read_text(encoding="utf-8").strip() if self.file.is_file() else ""
        if not value:
            raise BadInput("secret", location, "a non-empty secret there")
        return SecretStr(value)


class Server(BaseModel):
    """The fields of every kind of server."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: Annotated[str, Field(pattern=r"^https?://[^/]+(/.*)?$", description="base URL, no slash")]
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    concurrency: Annotated[int, Field(ge=1, le=50)] = 4


class Push(BaseModel):
    """How a server may post its call records to us; docs/push.md.

    With user and password (HTTP Basic or Digest), or without both: `open = true`, which is accepted
    only if the receiver listens on a loopback address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    user: Annotated[str, Field(pattern=r'^[^:"\\\x00-\x1f]*$', max_length=200)] = ""
    password: SecretRef | None = None
    open: bool = False

    @model_validator(mode="after")
    def _credentials_or_open(self) -> "Push":
        if self.open and (self.user or self.password):
            raise ValueError("name either user and password, or open = true")
        if not self.open and not (self.user and self.password):
            raise ValueError("name user and password (or open = true, on a loopback address only)")
        return self


class FusionPbxServer(Server):
    """A FusionPBX.

    With `all_tenants`, one superadmin key exports every tenant (`show=all`), and `host` is the
    domain that the key belongs to. Without it, each of `tenants` is read under its own host name.
    `way` is how calls are read: by the CSV export, or from the PBX's own PostgreSQL at `dsn`. Calls
    are polled every `poll_s` while they arrive, and up to every `poll_rest_s` on a quiet feed
    (default: three times `poll_s`). `export_secret` is the secret with which the PBX's database
    signs the rows of the export; without it each new row is confirmed by a request of its own.
    """

    kind: Literal["fusionpbx"]
    api_key: SecretRef
    export_secret: SecretRef | None = None
    host: str | None = None
    all_tenants: bool = False
    tenants: tuple[str, ...] = ()
    way: Literal["export", "database"] = "export"
    dsn: SecretRef | None = None
    poll_s: Annotated[float, Field(gt=0)] = 5.0
    poll_rest_s: Annotated[float, Field(gt=0)] | None = None
    lookback_s: Annotated[int, Field(ge=60)] = 86_400
    sip_profile: str = "external"
    push: Push | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "FusionPbxServer":
        if (self.way == "database") != (self.dsn is not None):
            raise ValueError('name dsn with way = "database", and only then')
        if self.export_secret is not None and self.way == "database":
            raise ValueError('name export_secret with way = "export" only')
        if self.poll_rest_s is not None and self.poll_rest_s < self.poll_s:
            raise ValueError("poll_rest_s must not be less than poll_s")
        return self


class VodiaServer(Server):
    """A Vodia PBX; docs/vodia.md explains every field.

    `login` and `verbs` depend on the version of the PBX. An extension's settings can be read at
    `extension_state_path` (with `{tenant}` and `{extension}`); their field `extension_state_field`
    shows whether it is disabled. Without a path, `accept_unread` takes an accepted change for done.
    `call_key` names the field of a posted leg that equals a listed record's `call_id`.
    """

    kind: Literal["vodia"]
    user: str
    password: SecretRef
    login: Literal["basic", "session"] = "basic"
    verbs: Literal["post", "put"] = "post"
    tenants: tuple[str, ...] = ()
    poll_s: Annotated[float, Field(gt=0)] = 5.0
    lookback_s: Annotated[int, Field(ge=60)] = 86_400
    page_size: Annotated[int, Field(ge=1, le=500)] = 500
    retention_s: Annotated[int, Field(ge=3600)] = 7 * 86_400
    retention_margin_s: Annotated[int, Field(ge=0)] = 86_400
    call_key: Literal["PrimaryCallID", "CallID"] = "PrimaryCallID"
    extension_state_path: str | None = None
    extension_state_field: str = "disabled"
    accept_unread: bool = False
    push: Push | None = None


class LesnetLink(BaseModel):
    """A CDR file: its URL, the peer and the DIDs of the product that it belongs to.

    The ids of calls are derived from `name`, so it must not change when the URL does. Its default
    is the URL's host and path. `user` and `password` are sent by HTTP Basic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: Annotated[str, Field(pattern=r"^https?://[^/@\s?#]+/[!-~]*$", max_length=1000)]
    name: Annotated[str, Field(pattern=r"^[!-~]*$", max_length=300)] = ""
    peer: Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{13})?$")] = ""
    dids: tuple[Annotated[str, Field(pattern=r"^\d{7,15}$")], ...] = ()
    user: Annotated[str, Field(max_length=200)] = ""
    password: SecretRef | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> "LesnetLink":
        if bool(self.user) != bool(self.password):
            raise ValueError("name user and password, or neither")
        if len(self.known_as) > 300:
            raise ValueError("give the link a name of at most 300 characters")
        return self

    @property
    def known_as(self) -> str:
        """The name from which the ids of this file's calls are derived."""
        if self.name:
            return self.name
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"


class LesnetServer(Server):
    """An account at Les.net; docs/lesnet.md. `url` is the API's base, `links` are the CDR files.

    `profile` is a profile, or the name of a TOML file with one; the default is the built-in
    profile, which is an assumption. `suspend`, `resume` and `read_back` must be set together;
    without them, an operator suspends by hand. `balance_below` is in the currency of the account.
    """

    kind: Literal["lesnet"]
    links: tuple[LesnetLink, ...] = ()
    profile: Profile | Path | None = None
    poll_s: Annotated[float, Field(ge=1)] = 900.0
    max_bytes: Annotated[int, Field(ge=1024, le=1024**3)] = 32 * 1024 * 1024
    max_unfit_percent: Annotated[float, Field(ge=0, le=100)] = 5.0
    api_key: SecretRef | None = None
    id_key: SecretRef | None = None
    balance_below: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    suspend: OrderTemplate | None = None
    resume: OrderTemplate | None = None
    read_back: ReadBack | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> "LesnetServer":
        for url in (self.url, *(link.url for link in self.links)):
            if not (url.startswith("https:") or is_loopback(urlsplit(url).hostname)):
                raise ValueError("plain http goes to loopback addresses only: use https")
        names = [link.known_as for link in self.links]
        if len(set(names)) < len(names):
            raise ValueError("links: those that differ in their query alone need names")
        orders = [order is not None for order in (self.suspend, self.resume, self.read_back)]
        if any(orders) and not all(orders):
            raise ValueError("suspend, resume and read_back go together")
        keys = self.api_key is not None and self.id_key is not None
        if (any(orders) or self.balance_below is not None) and not keys:
            raise ValueError("the API needs api_key and id_key")
        return self

    def read_profile(self) -> Profile:
        """The profile of this server's files. Raises BadInput."""
        if isinstance(self.profile, Path):
            return load_profile(self.profile)
        return self.profile or default_profile()


def is_loopback(host: str | None) -> bool:
    """Whether a URL's host is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


_MAY_HOLD_SECRETS = {
    "api_key", "dsn", "export_secret", "id_key", "password", "links", "payload",
}  # fmt: skip
"""Fields whose values are not shown: a link may have a secret in its query."""

AnyServer = Annotated[FusionPbxServer | VodiaServer | LesnetServer, Field(discriminator="kind")]


class Servers(BaseModel):
    """The content of the file: a table `[servers.<id>]` for each server."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    servers: dict[Id, AnyServer]

    @cached_property
    def fusionpbx(self) -> dict[str, FusionPbxServer]:
        """The FusionPBX servers by id."""
        return {k: s for k, s in self.servers.items() if isinstance(s, FusionPbxServer)}

    @cached_property
    def lesnet(self) -> dict[str, LesnetServer]:
        """The Les.net accounts by id."""
        return {k: s for k, s in self.servers.items() if isinstance(s, LesnetServer)}

    @cached_property
    def pushing(self) -> dict[str, FusionPbxServer | VodiaServer]:
        """The servers that may post call records, by id."""
        known = (FusionPbxServer, VodiaServer)
        return {k: s for k, s in self.servers.items() if isinstance(s, known) and s.push}

    @cached_property
    def vodia(self) -> dict[str, VodiaServer]:
        """The Vodia servers by id."""
        return {k: s for k, s in self.servers.items() if isinstance(s, VodiaServer)}


def load_servers(path: Path) -> Servers:
    """Read the servers file. Raises BadInput that names the field, the value and what is wrong."""
    if not path.is_file():
        raise BadInput("servers file", str(path), "a TOML file; see docs/servers.md")
    try:
        return Servers.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise BadInput("servers file", str(path), f"valid TOML ({error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path.name}: {where}", _shown(first), expected_words(first)) from None


def _shown(problem: ErrorDetails) -> object:
    """The refused value, unless it may be a secret that was entered in a wrong place.

    Only values of known fields that contain no secret are shown.
    """
    secret = _MAY_HOLD_SECRETS & {str(part) for part in problem["loc"]}
    unknown = problem["type"] == "extra_forbidden"
    hidden = secret or unknown or isinstance(problem["input"], dict | BaseModel)
    return "(not shown)" if hidden else problem["input"]

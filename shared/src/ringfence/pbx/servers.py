"""PBX and provider servers: the one file that cdr-ingest and suspender both read.

Secrets stand in it by reference only: the name of an environment variable, or of a file.
"""

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ringfence.errors import BadInput
from ringfence.events.model import Id


class SecretRef(BaseModel):
    """Where a secret is found: `{ env = "NAME" }` or `{ file = "/run/secrets/name" }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "SecretRef":
        if (self.env is None) == (self.file is None):
            raise ValueError("name exactly one of env and file")
        return self

    def read(self) -> SecretStr:
        """The secret. Raises BadInput, which names the place and never the content."""
        if self.env is not None:
            value = os.environ.get(self.env, "")
            place = f"environment variable {self.env}"
        else:
            assert self.file is not None
            place = f"file {self.file}"
            value = self.file.read_text(encoding="utf-8").strip() if self.file.is_file() else ""
        if not value:
            raise BadInput("secret", place, "a non-empty secret there")
        return SecretStr(value)


class Server(BaseModel):
    """What all kinds of server have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: Annotated[str, Field(pattern=r"^https?://[^/]+(/.*)?$", description="base URL, no slash")]
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 30.0
    concurrency: Annotated[int, Field(ge=1, le=50)] = 4


class Push(BaseModel):
    """How a server may post its call records to us; docs/push.md.

    By name and password (HTTP Basic or Digest). `open = true` asks for neither, and is accepted
    only while the receiver listens on a loopback address.
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

    With `all_tenants`, one superadmin key exports every tenant (`show=all`) and `host` is the
    domain that the key belongs to; without it, each of `tenants` is asked by its own host name.
    """

    kind: Literal["fusionpbx"]
    api_key: SecretRef
    host: str | None = None
    all_tenants: bool = False
    tenants: tuple[str, ...] = ()
    poll_s: Annotated[float, Field(gt=0)] = 5.0
    lookback_s: Annotated[int, Field(ge=60)] = 4 * 3600
    sip_profile: str = "external"
    push: Push | None = None


class VodiaServer(Server):
    """A Vodia PBX; docs/vodia.md says which of these to set when.

    `login` and `verbs` follow the PBX's age. `extension_state_path` (with `{tenant}` and
    `{extension}`) is where an extension's settings can be read, `extension_state_field` what in
    them says "disabled"; without a path, `accept_unread` takes an accepted order for done.
    `call_key` names the field of a pushed leg that equals a listed record's `call_id`.
    """

    kind: Literal["vodia"]
    user: str
    password: SecretRef
    login: Literal["basic", "session"] = "basic"
    verbs: Literal["post", "put"] = "post"
    tenants: tuple[str, ...] = ()
    poll_s: Annotated[float, Field(gt=0)] = 5.0
    lookback_s: Annotated[int, Field(ge=60)] = 4 * 3600
    page_size: Annotated[int, Field(ge=1, le=500)] = 500
    retention_s: Annotated[int, Field(ge=3600)] = 7 * 86_400
    retention_margin_s: Annotated[int, Field(ge=0)] = 86_400
    call_key: Literal["PrimaryCallID", "CallID"] = "PrimaryCallID"
    extension_state_path: str | None = None
    extension_state_field: str = "disabled"
    accept_unread: bool = False
    push: Push | None = None


class LesnetServer(Server):
    """Les.net: the CDR file's links stand with the products."""

    kind: Literal["lesnet"]


AnyServer = Annotated[FusionPbxServer | VodiaServer | LesnetServer, Field(discriminator="kind")]


class Servers(BaseModel):
    """The file: a table `[servers.<id>]` for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    servers: dict[Id, AnyServer]

    @cached_property
    def fusionpbx(self) -> dict[str, FusionPbxServer]:
        """The FusionPBX servers by id."""
        return {k: s for k, s in self.servers.items() if isinstance(s, FusionPbxServer)}

    @cached_property
    def pushing(self) -> dict[str, FusionPbxServer | VodiaServer]:
        """The servers that may post call records to us, by id."""
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
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path.name}: {where}", _shown(first), first["msg"]) from None


def _shown(problem: ErrorDetails) -> object:
    """The refused value, unless it may be a secret that somebody typed where none belongs.

    Only values of known fields that hold none are shown.
    """
    secret = {"api_key", "password"} & {str(part) for part in problem["loc"]}
    unknown = problem["type"] == "extra_forbidden"
    hidden = secret or unknown or isinstance(problem["input"], dict)
    return "(not shown)" if hidden else problem["input"]

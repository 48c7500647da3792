"""PBX and provider servers: the one file that cdr-ingest and suspender both read.

Secrets stand in it by reference only: the name of an environment variable, or of a file.
"""

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

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


class VodiaServer(Server):
    """A Vodia PBX."""

    kind: Literal["vodia"]
    user: str
    password: SecretRef
    tenants: tuple[str, ...] = ()


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
        raise BadInput(f"{path.name}: {where}", first["input"], first["msg"]) from None

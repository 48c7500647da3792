"""The initial data of the simulated PBX, and the servers file with its address."""

import json
from pathlib import Path

from ringfence_local.errors import StackError
from ringfence_local.private_file import write_private
from ringfence_local.state import secret_file

PBX_ID = "pbx1"
"""The PBX's id in the servers file, and so in products."""

PBX_DOMAIN = "voip.example"
"""The domain of the API key's user; tenants are further domains."""

_WRITTEN = "# Written at every start"
_SERVERS = """\
# Written at every start of `make run`: changes here are lost. The key is in a file of its own.
# For PBXs of your own write another file: ringfence up --servers FILE
[servers.{id}]
kind = "fusionpbx"
url = "{url}"
host = "{domain}"
api_key = {{ file = "{key}" }}
all_tenants = true
poll_s = 1.0
poll_rest_s = 1.0
timeout_s = 10.0
"""


def write_simulator_files(folder: Path, pbx_url: str, others: str = "") -> None:
    """Write `servers.toml`, and `pbx.json` with one domain and a superadmin with a random API key.

    Tenants, trunks and extensions are added later by the simulator's `/_sim/seed`, which saves
    them. `others` are further entries of the servers file. Raises StackError if the existing
    servers file was not written by this function.
    """
    path = folder / "servers.toml"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_WRITTEN):
        raise StackError(
            f"{path} is not the file that this start would write, with simulated PBXs in it, and is"
            f" left as it is. For your own PBXs: ringfence up --servers {path}; else move it away."
        )
    key = secret_file(folder, "fusionpbx-key")
    servers = _SERVERS.format(id=PBX_ID, url=pbx_url, domain=PBX_DOMAIN, key=key)
    path.write_text(servers + others, encoding="utf-8")
    scene = initial_pbx_seed(key.read_text(encoding="utf-8").strip())
    write_private(folder / "pbx.json", json.dumps(scene))


def initial_pbx_seed(api_key: str) -> dict[str, object]:
    """The initial data of the simulated PBX: one domain, and a superadmin with this key."""
    user = {"name": "billing", "domain": PBX_DOMAIN, "api_key": api_key, "group": "superadmin"}
    return {"domains": [{"name": PBX_DOMAIN}], "users": [user]}

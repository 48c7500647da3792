"""The initial data of a simulated PBX, from a TOML or JSON file."""

import tomllib
from pathlib import Path
from typing import Any

import orjson

from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall
from ringfence_simulators.fusionpbx.model import KINDS, SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import (
    Destination,
    Domain,
    Gateway,
    Route,
    SimulatedExtension,
    User,
)

Seed = dict[str, list[dict[str, Any]]]
"""Lists by name: `domains`, `users`, `gateways`, `extensions`, `destinations`, `routes` and
`default_settings`.

Their fields are those of the classes in `things`, and of `SimulatedFusionPbx`. An element with
`enabled` false was off before anybody switched it.
"""


def read_seed(path: Path) -> Seed:
    """Read a seed file."""
    if path.suffix == ".json":
        content: Seed = orjson.loads(path.read_bytes())
        return content
    return tomllib.loads(path.read_text(encoding="utf-8"))


def apply_seed(pbx: SimulatedFusionPbx, seed: Seed) -> None:
    """Add the seed's elements; gateways before the extensions that use them."""
    for domain in seed.get("domains", []):
        pbx.add_domain(Domain(**domain))
    for user in seed.get("users", []):
        pbx.add_user(User(**user))
    for gateway in seed.get("gateways", []):
        pbx.add_gateway(Gateway(**gateway))
    for extension in seed.get("extensions", []):
        pbx.add_extension(SimulatedExtension(**extension))
    for destination in seed.get("destinations", []):
        pbx.add_destination(Destination(**destination))
    for route in seed.get("routes", []):
        pbx.add_route(Route(**route))
    pbx.default_settings += seed.get("default_settings", [])


def restore(pbx: SimulatedFusionPbx) -> None:
    """Restore added elements, calls and changes from the journal."""
    for entry in pbx.journal.read():
        kind = entry["kind"]
        if kind == "seed":
            apply_seed(pbx, entry["seed"])
        elif kind == "call":
            uuid = entry.get("extension_uuid", "")
            pbx.calls.append(SimulatedFusionPbxCall(entry["columns"], entry["shown_at"], uuid))
        elif kind == "default_setting":
            pbx.default_settings.append(entry["setting"])
        elif kind == "extension":
            extension = SimulatedExtension(**entry["extension"])
            pbx.extensions[extension.uuid] = extension
        elif kind == "live" and entry["uuid"] in pbx.gateways:
            pbx.gateways[entry["uuid"]].live = entry["live"]
        elif kind in KINDS and entry["uuid"] in pbx.listed(kind):
            pbx.listed(kind)[entry["uuid"]].enabled = entry["enabled"]

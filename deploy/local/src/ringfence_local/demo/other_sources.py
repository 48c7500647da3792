"""The other CDR sources of `ringfence run`: Vodia, Les.net, and FreeSWITCH's posts.

Each has a simulator process, an entry in the servers file and a sample client.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence_local.demo.sample import BILL_FROM, PACKAGE, SampleApi, SampleClient, pbx_seed
from ringfence_local.demo.scene import PBX_ID
from ringfence_local.embedded.ports import free_port
from ringfence_local.private_file import write_private
from ringfence_local.processes.supervisor import Program, python_module
from ringfence_local.state import secret_file

VODIA_ID, LESNET_ID = "vodia1", "lesnet1"
VODIA_TENANT = "harbour.voip.example"
PEER, PEER_DID, CDR_PATH = "D4E3CD2BFC791", "12046664021", "/cdr/11330_0000.txt"
PUSH_USER = "freeswitch"
PUSHED = SampleClient(
    "1008", "Hana", "Wood", "Wood Joinery", "wood.voip.example", "5195550188", ("2112",), "30.00"
)

_PUSH = """
[servers.{pbx_id}.push]
user = "{user}"
password = {{ file = "{password}" }}
"""
_SERVERS = """
[servers.{vodia_id}]
kind = "vodia"
url = "http://127.0.0.1:{vodia}"
user = "admin"
password = {{ file = "{vodia_password}" }}
tenants = ["{tenant}"]
extension_state_path = "/rest/domain/{{tenant}}/user_settings/{{extension}}"
poll_s = 2.0

[servers.{lesnet_id}]
kind = "lesnet"
url = "http://127.0.0.1:{lesnet}/v1"
poll_s = 60
links = [{{ url = "http://127.0.0.1:{lesnet}{path}", peer = "{peer}", dids = ["{did}"] }}]
api_key = {{ file = "{api_key}" }}
id_key = {{ file = "{id_key}" }}
suspend = {{ path = "peer/disable", payload = {{ peer = "{{peer}}" }} }}
resume = {{ path = "peer/enable", payload = {{ peer = "{{peer}}" }} }}

[servers.{lesnet_id}.read_back]
path = "peer/show"
payload = {{ peer = "{{peer}}" }}
pointer = "/peer/state"
suspended = ["disabled"]
active = ["enabled"]
"""


@dataclass(frozen=True)
class OtherSources:
    """The ports of the sources, and the folder with their files."""

    folder: Path
    vodia: int
    lesnet: int
    push: int

    def servers(self) -> str:
        """The entries for the servers file, including `push` for the FusionPBX."""
        push = _PUSH.format(pbx_id=PBX_ID, user=PUSH_USER, password=self._secret("push-password"))
        return push + _SERVERS.format(
            vodia_id=VODIA_ID,
            lesnet_id=LESNET_ID,
            vodia=self.vodia,
            lesnet=self.lesnet,
            vodia_password=self._secret("vodia-password"),
            api_key=self._secret("lesnet-api-key"),
            id_key=self._secret("lesnet-id-key"),
            tenant=VODIA_TENANT,
            path=CDR_PATH,
            peer=PEER,
            did=PEER_DID,
        )

    def simulators(self) -> list[tuple[Program, int]]:
        """The simulated Vodia and Les.net, with their ports."""
        vodia = ["--port", str(self.vodia), "--seed", str(self._seed("vodia", self._vodia()))]
        vodia += ["--calls-per-second", "0.2"]
        lesnet = ["--port", str(self.lesnet), "--seed", str(self._seed("lesnet", _lesnet()))]
        lesnet += ["--api-key-file", str(self._secret("lesnet-api-key"))]
        lesnet += ["--id-key-file", str(self._secret("lesnet-id-key"))]
        return [
            (Program("vodia", python_module("ringfence_simulators.vodia", *vodia)), self.vodia),
            (Program("lesnet", python_module("ringfence_simulators.lesnet", *lesnet)), self.lesnet),
        ]

    def poster(self, per_second: float) -> Program:
        """A simulated FreeSWITCH that posts call records to the receiver."""
        url = f"http://127.0.0.1:{self.push}/cdr/{PBX_ID}/json"
        rate = ["--per-second", str(per_second), "--count", "1000000"]
        caller = ["--domain", PUSHED.tenant, "--extension", PUSHED.extensions[0]]
        cred = ["--cred-file", str(self._push_credentials())]
        module = python_module("ringfence_simulators.freeswitch", url, *rate, *caller, *cred)
        return Program("freeswitch", module)

    def _push_credentials(self) -> Path:
        """The user and password of posts, in a file for the simulated FreeSWITCH."""
        path = self._secret("push-password").with_name("push-credentials")
        write_private(path, f"{PUSH_USER}:{self._read('push-password')}\n")
        return path

    def _vodia(self) -> dict[str, Any]:
        password = self._read("vodia-password")
        return {
            "accounts": [{"name": "admin", "password": password}],
            "trunks": [{"id": "10", "name": "Harbour", "domain": VODIA_TENANT}],
            "extensions": [
                {"number": "300", "domain": VODIA_TENANT, "name": "Harbour", "trunk": "10"}
            ],
        }

    def _seed(self, name: str, seed: dict[str, Any]) -> Path:
        path = self.folder / f"{name}.json"
        write_private(path, json.dumps(seed))
        return path

    def _secret(self, name: str) -> Path:
        return secret_file(self.folder, name)

    def _read(self, name: str) -> str:
        return self._secret(name).read_text(encoding="utf-8").strip()


def other_sources(folder: Path) -> OtherSources:
    """The sources on their default ports, or on any free ports if those are in use."""
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    vodia, lesnet, push = (free_port(wanted) for wanted in (8056, 8057, 8070))
    return OtherSources(folder, vodia, lesnet, push)


def _lesnet() -> dict[str, Any]:
    """Yesterday's calls: a file that changes once a day."""
    noon = int(time.time()) // 86_400 * 86_400 - 43_200
    calls = [
        _lesnet_call(noon + 600 * n, callee=f"1416555{n:04d}", seconds=61 + n) for n in range(12)
    ]
    return {"peers": [{"peer": PEER, "dids": [PEER_DID]}], "calls": {CDR_PATH: calls}}


def _lesnet_call(start: int, *, callee: str, seconds: int) -> dict[str, Any]:
    return {"start": start, "caller": PEER_DID, "callee": callee, "seconds": seconds}


async def add_other_clients(api: SampleApi) -> None:
    """Create a sample client on each source. Idempotent."""
    await _client(api, "1006", "Gil", "Harbour Lights", VODIA_TENANT, "8.00")
    await api.put(
        "/clients/1006/products/pbx-1006",
        {
            "kind": "vodia",
            "server_id": VODIA_ID,
            "name": "Harbour PBX",
            "bill_from": BILL_FROM,
            "package": PACKAGE,
            "tenant_and_inbound_dids": f"{VODIA_TENANT} | 5195550177 | 300",
            "did_or_extension": "300",
            "ext_profile_first_name": "Harbour",
            "inbound_search_string": "harbour, 300",
            "suspend_by": "gateway",
            "trunk_ids": "10",
        },
    )
    await _client(api, "1007", "Ivo", "Prairie Freight", "prairie.example", "20.00")
    await api.put(
        "/clients/1007/products/did-1007",
        {
            "kind": "lesnet",
            "server_id": LESNET_ID,
            "name": "Prairie DID",
            "bill_from": BILL_FROM,
            "domain": f"{PEER} | {PEER_DID}",
            "username": PEER_DID,
            "peer_id": PEER,
            "dids_attached_to_peer": PEER_DID,
            "cdr_link": f"https://portal.example{CDR_PATH}",
            "rate_per_minute": ".03",
        },
    )
    await api.pbx("seed", pbx_seed(PUSHED))
    await _client(api, PUSHED.account_id, "Hana", PUSHED.company, PUSHED.tenant, PUSHED.opening)
    await api.put(
        f"/clients/{PUSHED.account_id}/products/{PUSHED.service_id}",
        {
            "kind": "fusionpbx",
            "server_id": PBX_ID,
            "name": "Wood PBX",
            "bill_from": BILL_FROM,
            "package": PACKAGE,
            "domain_tenant_and_main_dids": f"{PUSHED.tenant} | {PUSHED.did}",
            "extensions": " | ".join(PUSHED.extensions),
        },
    )


async def _client(
    api: SampleApi, account_id: str, first_name: str, company: str, tenant: str, opening: str
) -> None:
    await api.put(
        f"/clients/{account_id}",
        {
            "first_name": first_name,
            "company_name": company,
            "email": f"{first_name.lower()}@{tenant}",
            "currency": "CAD",
            "time_zone": "America/Toronto",
            "has_voip_service": "yes",
            "low_balance_threshold": "15",
            "opening_balance": opening,
        },
    )

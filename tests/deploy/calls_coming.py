"""A continuous stream of calls, and a payment that is retried until it succeeds ten times."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any
from uuid import uuid4

import httpx

from ringfence_contracts.ids import call_id
from ringfence_local.demo.sample import SampleClient
from ringfence_local.demo.scene import PBX_ID
from ringfence_simulators.freeswitch.channel import new_channel
from ringfence_simulators.freeswitch.module import CdrModule, ModuleSettings
from tests.deploy.containers import EngineFailed
from tests.deploy.deployed import DeployedStack

_EVERY_S = 0.5
_POST_BOUND_S = 10.0
_MORE = 10


class CallsComing:
    """A call of one minute for each client every half second, for the duration of the context.

    Each is recorded at the simulated PBX, where it is polled; every second one is posted as well,
    once, as FreeSWITCH does. `placed` counts the calls of one client, `answers` the posts by HTTP
    status; 0 means no response.
    """

    def __init__(
        self, pbx_url: str, push_url: str, password: str, clients: list[SampleClient]
    ) -> None:
        self._pbx_url = pbx_url
        url = f"{push_url}/cdr/{PBX_ID}/json"
        self._settings = ModuleSettings(form="json", urls=(url,), cred=f"freeswitch:{password}")
        self._clients = clients
        self._uuids: list[dict[str, str]] = []
        self._ended = asyncio.Event()
        self._posts: set[asyncio.Task[None]] = set()
        self.answers: dict[int, int] = {}

    @property
    def placed(self) -> int:
        """The number of calls of each client so far."""
        return len(self._uuids)

    def call_ids(self, client: SampleClient) -> list[str]:
        """The ids of this client's calls in ringfence."""
        return [str(call_id(PBX_ID, uuids[client.account_id])) for uuids in self._uuids]

    async def more(self) -> None:
        """Return after some more calls, or at once if the stream has ended."""
        wanted = self.placed + _MORE
        while self.placed < wanted and not self._placing.done():
            await asyncio.wait({self._placing}, timeout=_EVERY_S)

    async def __aenter__(self) -> "CallsComing":
        self._placing = asyncio.create_task(self._place())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        await self._placing

    async def _place(self) -> None:
        async with (
            httpx.AsyncClient(base_url=self._pbx_url, trust_env=False, timeout=30) as pbx,
            CdrModule(self._settings) as module,
        ):
            self.answers = module.answers
            while not self._ended.is_set():
                uuids = {client.account_id: str(uuid4()) for client in self._clients}
                calls = [self._call(client, uuids[client.account_id]) for client in self._clients]
                (await pbx.post("/_sim/calls", json=calls)).raise_for_status()
                self._uuids.append(uuids)
                if self.placed % 2:
                    self._posts |= {asyncio.create_task(self._post(module, c)) for c in calls}
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), _EVERY_S)
            await asyncio.gather(*self._posts)

    async def _post(self, module: CdrModule, call: dict[str, Any]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POST_BOUND_S):
                await module.report(new_channel(call))

    def _call(self, client: SampleClient, uuid: str) -> dict[str, Any]:
        return {
            "xml_cdr_uuid": uuid,
            "domain_name": client.tenant,
            "extension": client.extensions[0],
            "direction": "outbound",
            "caller_id_number": client.extensions[0],
            "caller_destination": "14165550100",
            "destination_number": "14165550100",
            "billsec": 60,
        }


async def keep_paying(stack: DeployedStack, account_id: str, amount: str, key: str) -> None:
    """Send one payment with one key to the replicas in turn, until it was accepted ten times."""
    token = await asyncio.to_thread(lambda: stack.api_token)
    taken = 0
    while taken < 10:
        with suppress(EngineFailed):  # a listed container can end before it is queried
            for url in await asyncio.to_thread(lambda: stack.api_urls):
                taken += await _pays(url, token, account_id, amount, key)


async def _pays(url: str, token: str, account_id: str, amount: str, key: str) -> bool:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as api:
        try:
            answer = await api.post(
                f"/v1/clients/{account_id}/payments", json={"amount": amount, "reference": "storm"}
            )
        except httpx.TransportError:
            return False
    return answer.is_success

"""The compose file with a real engine: one stack, tested in the order of its life cycle."""

import asyncio
import time
from collections.abc import Iterator
from functools import partial

import pytest
from rich.console import Console

from ringfence_local.demo.sample import CLIENTS, SampleApi
from ringfence_local.demo.story import play_story
from ringfence_testing.wait import until
from tests.deploy.calls_coming import CallsComing, keep_paying
from tests.deploy.compose_stack import AROUND, SERVICES, STORES, STORING, ComposeStack
from tests.deploy.containers import Engine, EngineFailed
from tests.deploy.proof import (
    COST_MICRO,
    MICRO,
    assert_no_mail_twice,
    balance,
    charged_once_each,
    clients_near_zero,
    enter_clients,
    eventually,
    has_balance,
    minute_call,
    opening_micro,
    switched_once_each,
)
from tests.support.console import console_shows

UP_BOUND_S = 600.0
REPLICAS = {
    "cdr-ingest": 1, "rating": 3, "balance-watch": 2, "suspender": 2, "notifier": 2, "accounts": 2,
    "console": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(
    images: Engine, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ComposeStack]:
    found = ComposeStack(images, tmp_path_factory.mktemp("compose"))
    failed_before = request.session.testsfailed
    try:
        yield found
        if request.session.testsfailed > failed_before:
            for service in (*STORES, *AROUND, *SERVICES):
                print(f"\n== {service}\n{found.log(service)}")
    finally:
        found.remove()


async def test_first_call_is_rated_after_one_command(stack: ComposeStack) -> None:
    began = time.monotonic()
    await asyncio.to_thread(stack.up, *STORES, *AROUND, *SERVICES, in_order=True)
    await eventually(lambda: sample_is_loaded(stack), "the sample clients are in", UP_BOUND_S)
    async with SampleApi(stack) as api:
        client = CLIENTS[0]
        opening = opening_micro(client)
        await until(lambda: has_balance(api, client, opening), timeout_s=60, what="the opening")
        await api.pbx("calls", minute_call(client))
        rated = opening - COST_MICRO
        await until(lambda: has_balance(api, client, rated), timeout_s=60, what="the charge")
    print(f"\nfirst rated call {time.monotonic() - began:.0f} s after `up`")


def sample_is_loaded(stack: ComposeStack) -> bool:
    """Whether the job that creates the sample clients has succeeded."""
    (job,) = stack.containers("sample")
    state = stack.engine.inspect(job)["State"]
    return bool(state["Status"] == "exited" and state["ExitCode"] == 0)


@pytest.mark.parametrize("service", SERVICES)
def test_service_runs_with_no_rights(stack: ComposeStack, service: str) -> None:
    """As a user that owns nothing, on a read-only file system, without capabilities."""
    status = dict(
        line.split(":\t", 1)
        for line in stack.inside(service, "cat", "/proc/1/status").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    (container,) = stack.containers(service)
    assert stack.engine.inspect(container)["HostConfig"]["ReadonlyRootfs"] is True
    stack.inside(service, "touch", "/tmp/scratch")
    secrets = ["/run/ringfence"] if service in STORING else []
    for place in ("/", "/opt/ringfence", *secrets):
        with pytest.raises(EngineFailed, match=r"Read-only|Permission denied"):
            stack.inside(service, "touch", f"{place}/scratch")


async def test_pages_show_the_clients(stack: ComposeStack) -> None:
    await console_shows(stack.console_url, stack.api_token, CLIENTS[0])


async def test_client_is_switched_off_and_on_again(stack: ComposeStack) -> None:
    await play_story(stack, Console(width=100))


async def test_services_started_before_kafka_and_postgres_come_up(stack: ComposeStack) -> None:
    await asyncio.to_thread(stack.down)
    await asyncio.to_thread(stack.up, *SERVICES, replicas=True)
    for service, count in REPLICAS.items():
        assert len(stack.containers(service)) == count
    await eventually(lambda: all_wait(stack), "each service says that it waits for PostgreSQL")
    await asyncio.to_thread(stack.up, *STORES, *AROUND, replicas=True)
    await eventually(stack.all_work, "all services work", UP_BOUND_S)
    await eventually(lambda: sample_is_loaded(stack), "the sample job ends")
    async with SampleApi(stack) as api:
        trunks = {trunk["uuid"] for trunk in (await api.pbx_state())["gateways"]}
        assert {client.gateway_id for client in CLIENTS} <= trunks
        before = await balance(api, CLIENTS[0])
        await api.pbx("calls", minute_call(CLIENTS[0]))
        after = before - COST_MICRO
        await until(lambda: has_balance(api, CLIENTS[0], after), timeout_s=60, what="the charge")


def all_wait(stack: ComposeStack) -> bool:
    """Whether each service has said in its log that it waits, and none has given up."""
    containers = [one for service in SERVICES for one in stack.containers(service)]
    assert not any(stack.engine.inspect(one)["RestartCount"] for one in containers)
    return all("waiting for a dependency" in stack.log(service, 1000) for service in STORING)


async def test_kills_and_a_rolling_restart_lose_and_double_nothing(stack: ComposeStack) -> None:
    clients = clients_near_zero("70", "Storm")
    async with SampleApi(stack) as api:
        await enter_clients(api, clients)
        password = await asyncio.to_thread(lambda: stack.push_password)
        async with CallsComing(stack.pbx_url, stack.push_url, password, clients) as calls:
            paid = asyncio.create_task(keep_paying(stack, clients[0].account_id, "3.00", "storm"))
            await kill_one_of_each(stack, calls)
            await restart_in_turns(stack, calls)
            await paid
    print(f"\n{calls.placed} calls for each of {len(clients)} clients; posts: {calls.answers}")
    assert calls.answers[200] >= len(clients) * calls.placed // 10
    async with SampleApi(stack) as api:  # the API's port may be another one now
        await charged_once_each(api, clients, calls, paid_micro={clients[0].account_id: 3 * MICRO})
        await switched_once_each(stack, api, clients)
    await eventually(stack.all_work, "all services work")
    assert_no_mail_twice(stack, clients)
    print(await asyncio.to_thread(stack.tools, "database", "verify", "--replay", "--wait", "30"))


async def kill_one_of_each(stack: ComposeStack, calls: CallsComing) -> None:
    """kill -9, and wait until the container is healthy again, while calls go on."""
    for service in SERVICES:
        container = (await asyncio.to_thread(stack.containers, service))[0]
        began = (await asyncio.to_thread(stack.engine.inspect, container))["State"]["StartedAt"]
        await asyncio.to_thread(stack.kill, container)
        await eventually(
            partial(works_since, stack, container, began),
            f"{service} is started again and works",
        )
        await calls.more()


def works_since(stack: ComposeStack, container: str, began: str) -> bool:
    """Whether it was restarted since and is healthy."""
    return stack.engine.inspect(container)["State"]["StartedAt"] != began and stack.works(container)


async def restart_in_turns(stack: ComposeStack, calls: CallsComing) -> None:
    """Restart the first replica of every service, then the second; each exits with status 0."""
    for number in range(max(REPLICAS.values())):
        turn = [
            stack.containers(service)[number]
            for service, count in REPLICAS.items()
            if number < count
        ]
        await asyncio.gather(*(restart(stack, container) for container in turn))
        await calls.more()


async def restart(stack: ComposeStack, container: str) -> None:
    await asyncio.to_thread(stack.engine.run, "stop", "-t", "30", container)
    state = (await asyncio.to_thread(stack.engine.inspect, container))["State"]
    assert state["ExitCode"] == 0, f"{container}: {state}"
    await asyncio.to_thread(stack.engine.run, "start", container)
    await eventually(lambda: stack.works(container), f"{container} works again")

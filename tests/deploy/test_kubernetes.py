"""The Kubernetes demo overlay, played for real: one stack, tested in the order of its life.

What a cluster does and Podman does not is said in `kube_manifests.py`.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from ringfence_local.demo.sample import CLIENTS, SampleApi
from ringfence_local.demo.story import play_story
from ringfence_testing.wait import until
from tests.deploy.calls_coming import CallsComing, keep_paying
from tests.deploy.containers import Engine, EngineFailed
from tests.deploy.kube_manifests import PlayedPod
from tests.deploy.kube_stack import KubeStack
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
STORING = ("cdr-ingest", "rating", "balance-watch", "suspender", "notifier", "accounts")
SERVICES = (*STORING, "console")
JOBS = ("migrate", "topics", "sample")


@pytest.fixture(scope="module")
def stack(
    images: Engine, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[KubeStack]:
    if images.is_docker:
        pytest.skip("docker cannot play Kubernetes' manifests; podman can")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which builds the manifests, is not here")
    found = KubeStack(images, tmp_path_factory.mktemp("kubernetes"))
    failed_before = request.session.testsfailed
    try:
        yield found
        if request.session.testsfailed > failed_before:
            for pod in found.pods:
                print(f"\n== {pod.name}\n{found.log(pod)}")
    finally:
        found.remove()


def services(stack: KubeStack) -> list[PlayedPod]:
    return [pod for app in SERVICES for pod in stack.of(app)]


def ready(stack: KubeStack) -> bool:
    """Whether every service's pod is ready, as its readiness probe asks."""
    return all(stack.answers(pod, pod.probes["readinessProbe"]) for pod in services(stack))


async def test_first_call_is_rated_after_everything_was_applied_at_once(stack: KubeStack) -> None:
    began = time.monotonic()
    await asyncio.to_thread(stack.apply)
    (sample,) = stack.of("sample")
    await eventually(lambda: stack.ended_well(sample), "the sample clients are in", UP_BOUND_S)
    async with SampleApi(stack) as api:
        client = CLIENTS[0]
        opening = opening_micro(client)
        await until(lambda: has_balance(api, client, opening), timeout_s=60, what="the opening")
        await api.pbx("calls", minute_call(client))
        rated = opening - COST_MICRO
        await until(lambda: has_balance(api, client, rated), timeout_s=60, what="the charge")
    print(f"\nfirst rated call {time.monotonic() - began:.0f} s after the manifests were applied")


def test_jobs_have_ended_and_replicas_run(stack: KubeStack) -> None:
    assert [stack.ended_well(pod) for job in JOBS for pod in stack.of(job)] == [True] * len(JOBS)
    assert len(stack.of("rating")) == 2
    assert {stack.state(pod)["Status"] for pod in services(stack)} == {"running"}


async def test_probes_answer_well(stack: KubeStack) -> None:
    await eventually(lambda: ready(stack), "all are ready")
    for pod in services(stack):
        assert pod.probes == {
            "startupProbe": "/ready", "readinessProbe": "/ready", "livenessProbe": "/health",
        }  # fmt: skip
        assert stack.answers(pod, pod.probes["livenessProbe"])
        assert not stack.answers(pod, "/no-such-page"), "the question itself must be able to fail"


@pytest.mark.parametrize("service", SERVICES)
def test_pod_runs_with_no_rights(stack: KubeStack, service: str) -> None:
    """As a user that owns nothing, on a read-only file system, without capabilities."""
    pod = stack.of(service)[0]
    lines = stack.inside(pod, "cat", "/proc/1/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    limit = pod.document["spec"]["containers"][0]["resources"]["limits"]["memory"]
    memory = stack.engine.inspect(stack.container(pod))["HostConfig"]["Memory"]
    assert memory == int(limit[:-2]) * {"Mi": 2**20, "Gi": 2**30}[limit[-2:]]
    stack.inside(pod, "touch", "/tmp/scratch")
    secrets = ["/run/ringfence"] if service in STORING else []
    for folder in ("/", "/opt/ringfence", *secrets):
        with pytest.raises(EngineFailed, match=r"Read-only|Permission denied"):
            stack.inside(pod, "touch", f"{folder}/scratch")


def test_service_holds_its_own_secrets_alone(stack: KubeStack) -> None:
    (pages,) = stack.of("console")
    assert not [v for v in pages.document["spec"]["volumes"] if "configMap" in v], "no secret"
    for pod in (pod for app in STORING for pod in stack.of(app)):
        held = sorted(stack.inside(pod, "ls", "/run/ringfence").split())
        assert held == ["postgres-password", *(["tokens"] if pod.app == "accounts" else [])]
        password = stack.inside(pod, "cat", "/run/ringfence/postgres-password")
        written = stack.overlay / "secrets" / pod.app / "postgres-password"
        assert password == written.read_text(encoding="utf-8")


async def test_pages_show_the_clients(stack: KubeStack) -> None:
    await console_shows(stack.console_url, stack.api_token, CLIENTS[0])


async def test_client_is_switched_off_and_on_again(stack: KubeStack) -> None:
    await play_story(stack, Console(width=100))


async def test_rolling_every_pod_with_calls_in_flight_loses_and_doubles_nothing(
    stack: KubeStack,
) -> None:
    """Each pod gets SIGTERM while calls come in, ends by itself with 0, and is started again."""
    clients = clients_near_zero("71", "Roll")
    async with SampleApi(stack) as api:
        await enter_clients(api, clients)
        coming = CallsComing(stack.pbx_url, stack.push_url, stack.push_password, clients)
        async with coming as calls:
            paid = asyncio.create_task(keep_paying(stack, clients[0].account_id, "3.00", "roll"))
            for pod in services(stack):
                await roll(stack, pod)
                await calls.more()
            await paid
            while calls.placed < 90:
                await calls.more()
        print(f"\n{calls.placed} calls for each of {len(clients)} clients; posts: {calls.answers}")
        assert calls.answers[200] >= len(clients) * calls.placed // 10
        await charged_once_each(api, clients, calls, {clients[0].account_id: 3 * MICRO})
        await switched_once_each(stack, api, clients)
    assert_no_mail_twice(stack, clients)
    print(await asyncio.to_thread(stack.tools, "database", "verify", "--replay", "--wait", "30"))


async def roll(stack: KubeStack, pod: PlayedPod) -> None:
    await asyncio.to_thread(stack.stop, pod)
    state = await asyncio.to_thread(stack.state, pod)
    assert state["ExitCode"] == 0, f"{pod.name}: {state}"
    await asyncio.to_thread(stack.engine.run, "start", stack.container(pod))
    ready_path = pod.probes["readinessProbe"]
    await eventually(lambda: stack.answers(pod, ready_path), f"{pod.name} is ready again")


async def test_books_outlive_the_pods_of_kafka_and_postgres(stack: KubeStack) -> None:
    """What is in the claims is all that is needed: both pods are deleted, and come up again."""
    async with SampleApi(stack) as api:
        before = await balance(api, CLIENTS[0])
        for pod in (*stack.of("postgres"), *stack.of("kafka")):
            await asyncio.to_thread(stack.delete, pod)
            await asyncio.to_thread(stack.play, pod)
        await eventually(lambda: ready(stack), "all are ready again", UP_BOUND_S)
        await until(lambda: has_balance(api, CLIENTS[0], before), timeout_s=60, what="as before")
        await api.pbx("calls", minute_call(CLIENTS[0]))
        after = before - COST_MICRO
        await until(lambda: has_balance(api, CLIENTS[0], after), timeout_s=60, what="the charge")


def test_nothing_is_left_behind(stack: KubeStack) -> None:
    assert stack.leftovers() != []
    stack.remove()
    assert stack.leftovers() == []

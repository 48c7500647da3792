"""One stack for all end-to-end tests: real servers, six processes, a simulated PBX."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ringfence_local.demo.sample import SampleApi
from ringfence_local.stack import Stack
from tests.support.stack_harness import StackHarness


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StackHarness]:
    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, wanted_ports={}, console=True) as stack, SampleApi(stack) as door:
        yield StackHarness(stack, door)

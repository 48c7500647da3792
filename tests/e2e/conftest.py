"""One stack for each file of tests: real servers, seven processes, a simulated PBX.

It ends with the file: an idle one needs a third of a processor, which the other files lack.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ringfence_local.demo.sample import SampleApi
from ringfence_local.stack import Stack
from tests.support.stack_harness import StackHarness


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StackHarness]:
    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, wanted_ports={}, console=True) as stack, SampleApi(stack) as door:
        yield StackHarness(stack, door)

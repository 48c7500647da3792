"""A sender in a process of its own, which tests kill: `python sender_process.py DSN PORT`."""

import asyncio
import sys

from ringfence.postgres.pool import open_pool
from tests.support.notifier import NotifierHarness


async def main(dsn: str, port: int) -> None:
    pool = await open_pool(dsn, service="notifier", size=4)
    await NotifierHarness(pool, port).sending().run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

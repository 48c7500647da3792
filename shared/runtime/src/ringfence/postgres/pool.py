"""Connections: each service acts in its own role, which can write in its own schema alone."""

from typing import TypeAlias

import asyncpg
import orjson

from ringfence.postgres.refusal import explained_refusal

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


def role_of(service: str) -> str:
    """The database role of a service."""
    return f"ringfence_{service.replace('-', '_')}"


async def open_pool(dsn: str, *, service: str, size: int = 4) -> Pool:
    """A pool whose connections act in the service's role and have its name.

    JSON columns are read and written as Python values. A statement may take 30 s. Raises
    DatabaseRefuses if TLS or the login fails.
    """
    with explained_refusal(dsn):
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            command_timeout=30,
            server_settings={
                "role": role_of(service),
                "application_name": f"ringfence-{service}",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": "30s",
            },
            init=_use_json,
        )


async def _use_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, encoder=_to_json, decoder=orjson.loads, schema="pg_catalog"
        )


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()

"""Runs commands against the real API; inserts rows for the state of other services."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import click
from click.testing import CliRunner, Result
from rich.cells import cell_len

from ringfence_testing.wait import until
from tests.support.accounts import FUSIONPBX, TOKEN, RunningApi

WIDTH = 80


@dataclass
class Operator:
    """Runs commands as an operator; has the API, and the database behind it."""

    api: RunningApi

    async def run(
        self, command: click.Command, *arguments: str, typed: str = "", status: int | None = 0,
        **environment: str,
    ) -> Result:  # fmt: skip
        """Run a command. Its output must fit 80 columns and have no path of the API."""
        runner = CliRunner(
            env={"RINGFENCE_API": self.api.url, "RINGFENCE_TOKEN": TOKEN, **environment}
        )
        result = await asyncio.to_thread(runner.invoke, command, arguments, input=typed)
        if status is not None:
            assert result.exit_code == status, result.output
        assert "/v1" not in result.output
        if "--json" not in arguments:
            assert max(map(cell_len, result.stdout.splitlines()), default=0) <= WIDTH, result.stdout
        return result

    async def output(self, command: click.Command, *arguments: str, status: int = 0) -> str:
        """The output of a command, its lines and columns joined by single spaces."""
        result = await self.run(command, *arguments, status=status)
        return " ".join(result.output.split())

    async def json(self, command: click.Command, *arguments: str, status: int = 0) -> Any:
        """The JSON that a command prints."""
        result = await self.run(command, *arguments, "--json", status=status)
        return json.loads(result.stdout)

    async def product(self, account: str, product: str, **changes: object) -> None:
        """Put a product with a tenant of its own."""
        tenant = f"{product}.wat5.ictvoip.ca | 519222{crc32(product.encode()) % 10_000:04d}"
        body = {**FUSIONPBX, "domain_tenant_and_main_dids": tenant, **changes}
        await self.api.put(f"clients/{account}/products/{product}", body)

    async def posted(self, account: str, micro: int) -> None:
        """Post every payment that is not posted yet, as rating does; `micro` is the new balance."""
        rows = await self.api.database.fetch(
            "select payment_id, kind, amount_micro, received_at from accounts.payment p"
            " where account_id = $1 and not exists ("
            "     select from rating.ledger l where l.entry_id = p.payment_id)"
            " order by received_at",
            account,
        )
        await self.api.database.execute(
            "insert into rating.account (account_id, currency) values ($1, 'CAD')"
            " on conflict do nothing",
            account,
        )
        for row in rows:
            await self.api.database.execute(
                "with a as (update rating.account set balance_micro = $2, version = version + 1,"
                "     settled = settled + 1, updated_at = now() where account_id = $1 returning *)"
                " insert into rating.ledger (account_id, version, entry_id, kind, amount_micro,"
                "     balance_after_micro, cause_id, occurred_at, input_hash, explanation)"
                " select $1, a.version, $3, $4, $5, $2, $3, $6, '', '{}' from a",
                account,
                micro,
                row["payment_id"],
                row["kind"],
                row["amount_micro"],
                row["received_at"],
            )

    async def balance(self, account: str, micro: int) -> None:
        """Set the balance, as calls do."""
        await self.posted(account, micro)
        await self.api.database.execute(
            "update rating.account set balance_micro = $2 where account_id = $1", account, micro
        )

    async def level(self, account: str, level: str, balance_micro: int, *, debts: int = 0) -> None:
        """Set the level, as balance-watch does; `exhausted` is held."""
        await self.api.database.execute(
            "insert into balance_watch.account (account_id, currency, outstanding_micro,"
            "     profile_version, balance_micro, balance_version, level, held, holds)"
            " values ($1, 'CAD', $4, 1, $3, 1, $2, $2 = 'exhausted', 1)"
            " on conflict (account_id) do update set level = $2, balance_micro = $3,"
            "     outstanding_micro = $4, held = $2 = 'exhausted'",
            account,
            level,
            balance_micro,
            debts,
        )
        await self.api.database.execute(
            "insert into suspender.account (account_id, held, hold, held_since)"
            " values ($1, $2, 1, now())"
            " on conflict (account_id) do update set held = $2, held_since = now()",
            account,
            level == "exhausted",
        )

    async def service(
        self, account: str, product: str, confirmed: str, *, would: str = "", live: bool = True
    ) -> None:
        """Set the confirmed state of a service, as the suspender does: active or suspended."""
        await self.api.database.execute(
            "insert into suspender.service (account_id, service_id, server_id, kind, wanted,"
            "     wanted_seq, mode, confirmed, confirmed_seq, confirmed_at, would, live)"
            " values ($1, $2, 'wat5', 'fusionpbx', $3, 1, 'auto', $3, 1, now(), $4, $5)"
            " on conflict (account_id, service_id) do update set wanted = $3, confirmed = $3,"
            "     confirmed_at = now(), would = $4, live = $5",
            account,
            product,
            confirmed,
            would or confirmed,
            live,
        )

    async def switched_off(
        self, account: str, product: str, way: str, element: str, **changes: object
    ) -> None:
        """Record an element as switched off, as the suspender does."""
        columns = {
            "server_id": "wat5", "way": way, "tenant": "", "element": element,
            "account_id": account, "service_id": product, "was_on": True, **changes,
        }  # fmt: skip
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        await self.api.database.execute(
            f"insert into suspender.switched_off ({', '.join(columns)}, recorded_at, confirmed_at)"
            f" values ({places}, '2026-11-01T10:00:00Z', '2026-11-01T10:00:01Z')",
            *columns.values(),
        )

    async def departed(self, account: str, product: str) -> None:
        """Mark a product as removed, as the suspender does until all its elements are released."""
        await self.service(account, product, "suspended")
        await self.api.database.execute(
            "update suspender.service set departed = true where service_id = $1", product
        )

    async def has(self, server: str, kind: str, tenant: str, name: str, **changes: object) -> None:
        """Add an item to the inventory of a server."""
        item = {"uuid": "", "label": "", "enabled": True, "leads_to": "", **changes}
        await self.api.database.execute(
            "insert into suspender.inventory (server_id, kind, tenant, name, uuid, label, enabled,"
            " leads_to, read_at) values ($1, $2, $3, $4, $5, $6, $7, $8, now())",
            server, kind, tenant, name, *item.values(),
        )  # fmt: skip
        await self.read(server)

    async def read(self, server: str, error: str = "", *gaps: str) -> None:
        """Record a reading of a server, or its error."""
        await self.api.database.execute(
            "insert into suspender.inventory_read (server_id, asked_at, read_at, next_at, gaps,"
            " error) values ($1, now(), case when $2 = '' then now() end, now(), $3, $2)"
            " on conflict (server_id) do update set asked_at = now(), gaps = $3, error = $2,"
            " read_at = coalesce(excluded.read_at, inventory_read.read_at)",
            server,
            error,
            list(gaps),
        )

    async def answered(self, state: str = "done", words: str = "as asked") -> dict[str, Any]:
        """Answer the next command, as its service does; returns the command."""

        async def unanswered() -> list[dict[str, Any]]:
            requests = await self.api.published("operator.requested.v1")
            rows = await self.api.database.fetch(
                "select request_id from suspender.command"
                " union all select request_id from notifier.command"
            )
            known = {str(row["request_id"]) for row in rows}
            return [request for request in requests if request["request_id"] not in known]

        (request, *_) = await until(unanswered, timeout_s=20)
        schema = "notifier" if request["service"] == "notifier" else "suspender"
        await self.api.database.execute(
            f"insert into {schema}.command (request_id, command, arguments, requested_by, reason,"
            "     requested_at, state, answer)"
            " values ($1::text::uuid, $2, '{}', $3, $4, now(), $5, $6)",
            request["request_id"], request["command"], request["requested_by"], request["reason"],
            state, words,
        )  # fmt: skip
        found: dict[str, Any] = request
        return found

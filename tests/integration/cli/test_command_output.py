"""What every command prints, against the golden copies in tests/golden/output.

The real services run once for the module. A company's day is played on them, command by command,
with what the commands print kept by command; then each is compared.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from ringfence_contracts.topics import CALL_COMPLETED
from ringfence_local.demo.sample import TARIFF_CSV, SampleApi, SampleClient, pbx_seed
from ringfence_local.stack import MIGRATIONS, Stack
from ringfence_testing.wait import until
from tests.support.command_tree import commands
from tests.support.golden_files import no_others
from tests.support.golden_output import (
    GOLDEN,
    JSON_GOLDEN,
    command_of,
    compare_json,
    compare_output,
    file_of,
    in_utc,
    json_file_of,
    masked,
    masked_json,
    printed,
)

pytestmark = pytest.mark.timeout(1800)
ROOT = Path(__file__).parents[3]
BOUND_S = 60.0
YEAR_BEGAN = f"{datetime.now(UTC).year}-01-01T00:00:00+00:00"
"""Of this year, because tables leave out the year of an instant only if it is this one."""

ADA = SampleClient(
    "1001", "Ada", "North", "Maple Dental", "maple.voip.example", "5195550111", ("2112",), "20.00"
)
BEN = SampleClient(
    "1002", "Ben", "Frost", "", "frost.voip.example", "4165550122", ("301", "302"), "60.00"
)
NEWER_CSV = TARIFF_CSV.replace(",1.5,60", ",1.2,60").replace("Senegal,221", "Sénégal,221")
EXCEPTIONS = {
    (
        "completion",
    ): "prints click's script for a shell; tests/unit/cli/test_command_line.py runs it",
    ("run",): "starts servers of its own and draws a live view; tests/e2e/test_run.py reads it",
    ("demo",): "starts servers of its own and prints measured times; tests/e2e/test_run.py",
    ("up",): "starts servers of its own until Ctrl-C; test_up_command.py reads what it prints",
}
"""Commands without a golden copy, each with the reason."""


class Day:
    """A day of a company on running services; collects the output of commands by command."""

    def __init__(self, stack: Stack, sample: SampleApi, database: Any, folder: Path) -> None:
        self.stack = stack
        self.sample = sample
        self.database = database
        self.folder = folder
        self.outputs: dict[tuple[str, ...], str] = {}
        self.json_outputs: dict[tuple[str, ...], str] = {}

    async def run(self, *arguments: str, typed: str = "", **environment: str) -> None:
        """Run a command, and collect its output."""
        environment = {"RINGFENCE_STACK": str(self.stack.folder), **environment}
        text = await asyncio.to_thread(printed, *arguments, typed=typed, **environment)
        shown = masked(text, self.folder)
        command = command_of(arguments)
        before = f"{self.outputs[command]}\n" if command in self.outputs else ""
        self.outputs[command] = before + shown

    async def all(self, *lines: str) -> None:
        """Run commands without spaces in their arguments."""
        for line in lines:
            await self.run(*line.split())

    async def record_json(self, *lines: str, **environment: str) -> None:
        """Run commands with `--json`, and keep what each prints apart from the text for people."""
        for line in lines:
            arguments = (*line.split(), "--json")
            environment = {"RINGFENCE_STACK": str(self.stack.folder), **environment}
            text = await asyncio.to_thread(printed, *arguments, **environment)
            command = command_of(arguments)
            before = f"{self.json_outputs[command]}\n" if command in self.json_outputs else ""
            self.json_outputs[command] = before + masked_json(text, self.folder)

    async def json(self, *arguments: str) -> Any:
        """The JSON that a command prints; it is not collected."""
        text = await asyncio.to_thread(
            printed, *arguments, "--json", RINGFENCE_STACK=str(self.stack.folder)
        )
        return json.loads(text.partition("\n")[2])

    async def refreshed(self) -> None:
        """Read the PBX now: the time of the regular reading varies."""
        await self.json("server", "inventory", "pbx1", "--refresh")

    def file(self, name: str, text: str) -> str:
        """Write a file; returns its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    async def true(self, query: str, *arguments: object) -> None:
        """Wait until a query's answer is true."""
        await until(lambda: self.database.fetchval(query, *arguments), timeout_s=BOUND_S)

    async def balance(self, client: SampleClient, micro: int, level: str) -> None:
        """Wait until a client has this balance (micro-units) and the level that follows."""
        await self.true(
            "select count(*) = 1 from rating.account r join balance_watch.account b"
            " using (account_id) where account_id = $1 and r.balance_micro = $2"
            " and b.balance_micro = $2 and b.level = $3",
            client.account_id, micro, level,
        )  # fmt: skip

    async def service(self, client: SampleClient, confirmed: str) -> None:
        """Wait until the service of a client is confirmed in this state."""
        await self.true(
            "select wanted = $2 and confirmed = $2 from suspender.service where account_id = $1",
            client.account_id,
            confirmed,
        )

    async def mails(self, count: int) -> None:
        """Wait until this number of mails is recorded as sent."""
        await until(lambda: len(self.stack.inbox.messages()) == count, timeout_s=BOUND_S)
        await until(self._mails_on_record(count), timeout_s=BOUND_S)

    def _mails_on_record(self, count: int) -> Any:
        async def on_record() -> bool:
            items = (await self.sample.ask("/notices"))["items"]
            return [item["state"] for item in items] == ["sent"] * count

        return on_record

    async def call(self, client: SampleClient, number: str, minutes: int) -> None:
        """A call that has just ended on the PBX."""
        await self.sample.pbx(
            "calls",
            {
                "domain_name": client.tenant,
                "extension": client.extensions[0],
                "direction": "outbound",
                "destination_number": number,
                "billsec": minutes * 60,
            },
        )


async def enter(day: Day) -> None:
    """Enter a tariff, a package, and two clients with a product each."""
    file = day.file("north.csv", TARIFF_CSV)
    priced = ("--currency", "CAD", "--effective-from", YEAR_BEGAN)
    await day.run("tariff", "import", "north", file, *priced, "--dry-run")
    await day.run("tariff", "import", "north", file, *priced, "--yes")
    await day.run("tariff", "import", "north", file, *priced, "--decimal", "x")
    await day.run("package", "set", "prepaid", "tariff_id=north", "markup_percent=120")
    await day.run("package", "set", "prepaid", "inbound_enabled=perhaps")
    for client in (ADA, BEN):
        await day.sample.pbx("seed", pbx_seed(client))
        name = ("--first-name", client.first_name, "--last-name", client.last_name)
        mail = ("--email", f"{client.first_name.lower()}@{client.tenant}")
        money = ("--currency", "CAD", "--low-balance-threshold", "15", "--has-voip-service", "yes")
        await day.run(
            "client", "set", client.account_id, *name, *mail, *money, "--opening-balance",
            client.opening, "--time-zone", "America/Toronto",
        )  # fmt: skip
        where = f"domain_tenant_and_main_dids={client.tenant} | {client.did}"
        fields = (where, f"extensions={' | '.join(client.extensions)}", "suspend_by=gateway")
        given = [part for field in fields for part in ("--field", field)]
        await day.run(
            "product", "set", client.account_id, client.service_id, "--kind", "fusionpbx",
            "--server", "pbx1", "--package", "prepaid", "--name", f"{client.last_name} PBX",
            "--bill-from", YEAR_BEGAN, *given, "--field", f"gateway_ids={client.gateway_id}",
        )  # fmt: skip
    await day.run("client", "set", "bert", "--email", "b@example.com")
    nowhere = ("--kind", "fusionpbx", "--server", "nowhere")
    await day.run("product", "set", "1001", "pbx-1001", *nowhere)
    await day.run("reaction")
    await day.run("reaction", "1001")
    await day.balance(ADA, 20_000_000, "ok")
    await day.balance(BEN, 60_000_000, "ok")
    await day.true("select count(*) = 2 from suspender.service where wanted = 'active'")


async def spend(day: Day) -> None:
    """Use up Ada's credit; call a country without a rate."""
    await day.all("calls 1001", "unrated list", "unrated replay", "mails", "inbox list")
    await day.call(BEN, "01197455501000", 1)
    await day.true("select count(*) = 1 from rating.unrated")
    await day.call(ADA, "01188165501000", 3)
    await day.balance(ADA, 14_600_000, "low")
    await day.mails(1)
    await day.call(ADA, "01188165501000", 9)
    await day.balance(ADA, -1_600_000, "exhausted")
    await day.service(ADA, "suspended")
    await day.mails(2)


async def look(day: Day) -> None:
    """Run every command that only reads, while Ada is off."""
    await day.refreshed()
    await day.all(
        "client list", "client list --state off", "client show 1001", "client history 1001",
        "client show nobody", "client list --state asleep", "product list", "product list 1001",
        "product fields", "product show 1001 pbx-1001", "product show 1001 nothing",
        "package list", "package show prepaid", "package show nothing", "services",
        "services 1001 --elements", "services nobody", "calls 1001", "calls nobody", "ledger 1001",
        "ledger nobody", "account 1001", "account nobody", "explain client 1001",
        "explain client 1002", "explain client nobody", "explain call nonsense",
        "payments list 1001", "payments unclaimed", "mode", "order list", "brake", "alarms",
        "adopt list", "servers", "unrated", "unrated list", "unrated replay", "mails",
        "mails nobody", "rerate --list", "jobs", "jobs list",
    )  # fmt: skip
    await day.record_json(
        "client list", "client list --state off", "client show 1001", "client history 1001",
        "product list 1001", "product show 1001 pbx-1001", "package list", "package show prepaid",
        "services", "calls 1001", "ledger 1001", "payments list 1001", "payments unclaimed",
        "mode", "order list", "brake", "alarms", "adopt list", "server list", "servers",
        "unrated list", "mails", f"inbox list --folder {day.stack.folder / 'inbox'}",
        f"inbox show 2 --folder {day.stack.folder / 'inbox'}",
    )  # fmt: skip
    await day.run("inbox", "list", "--folder", str(day.stack.folder / "inbox"))
    await day.run("inbox", "show", "2", "--folder", str(day.stack.folder / "inbox"))
    await day.run("inbox", "show", "9", "--folder", str(day.stack.folder / "inbox"))
    calls = await day.json("calls", "1001")
    await day.run("explain", "call", calls[0]["call_id"])
    (waiting,) = await day.json("unrated", "list")
    await day.run("explain", "call", waiting["call_id"])
    await day.run("unrated", "replay", "--all")
    await day.run("unrated", "replay", "zz")
    newest, _ = await day.json("mails")
    await day.run("mails", "show", newest["notice_id"][:8])
    await day.run("mails", "show", "nonsense")


async def pay(day: Day) -> None:
    """Pay, so that Ada is on again; refund; enter debts; claim an unknown payment."""
    await day.run("topup", "1001", "25.00", "--key", "till-1", "--reference", "cash")
    await day.service(ADA, "active")
    await day.mails(3)
    await day.run("topup", "1001", "25.00", "--key", "till-1", "--reference", "cash")
    await day.all("topup 1001 x", "topup nobody 5", "outstanding 1001 7.50", "outstanding 1001 x")
    payment = next(p for p in await day.json("payments", "list", "1001") if p["kind"] == "top-up")
    await day.run("payments", "refund", "1001", payment["payment_id"], "5.00", "--key", "back-1")
    await day.run("payments", "refund", "1001", payment["payment_id"], "50.00", "--key", "back-2")
    await day.balance(ADA, 18_400_000, "ok")
    await day.all("payments list 1001", "payments list nobody", "ledger 1001", "account 1001")
    await day.all("account 1001 --limit 2")
    await day.run("payments", "claim", "--all", "--reason", "checked", "--yes")
    await day.run("payments", "claim", "--reason", "checked")
    await claim(day)


async def claim(day: Day) -> None:
    """Claim a payment that accounts lost, and one of a client that does not exist."""
    for account, micro in (("1002", 5_000_000), ("nobody", 7_500_000)):
        await day.database.execute(
            "insert into rating.unclaimed (payment_id, account_id, kind, amount_micro, currency,"
            " reference, received_at, correlation_id, reason, record)"
            " values (gen_random_uuid(), $1, 'top-up', $2, 'CAD', 'receipt', now(), '',"
            " 'accounts does not hold it', '')",
            account,
            micro,
        )
    await day.run("payments", "unclaimed")
    await day.run("payments", "claim", "abcd", "--reason", "checked")
    await day.run("payments", "claim", "--all", "--reason", "restored", "--yes")
    await day.database.execute("delete from rating.unclaimed where account_id = 'nobody'")
    await day.balance(BEN, 65_000_000, "ok")


async def order(day: Day) -> None:
    """Orders, modes, servers."""
    await day.run("suspend", "1002", "--reason", "fraud")
    await day.service(BEN, "suspended")
    await day.all("suspend nobody", "order list", "explain client 1002", "client list")
    await day.run("unsuspend", "1002")
    await day.service(BEN, "active")
    await day.all("unsuspend 1002", "service reapply 1002 pbx-1002", "service reapply 1002 none")
    await day.run("order", "add", "1002", "exemption", "--until", "2099-12-01", "--reason", "VIP")
    await day.all("order list 1002", "order end 1002 exemption", "order end 1002 exemption")
    await day.run("order", "add", "1002", "exemption", "--until", "soon")
    await day.run("mode", "shadow", "--clients", "1002", "--yes", "--reason", "trial")
    await day.all("mode", "mode live --clients 1002 --yes", "mode live --clients nobody --yes")
    await day.all("brake release", "brake undo")
    await day.database.execute(
        "update suspender.brake set on_since = now(), cause = '31 of 300 live clients at once'"
    )
    await day.database.execute(
        "insert into suspender.alarm (alarm_id, key, subject, severity, message, what_to_do,"
        " raised_at) values (gen_random_uuid(), 'brake', 'brake', 'critical',"
        " '31 clients at once', 'decide by ringfence brake', now())"
    )
    await day.all("brake", "alarms")
    await day.run("brake", "undo", "--reason", "the rates were wrong")
    await day.database.execute(
        "update suspender.brake set on_since = now(), cause = '31 of 300 live clients at once'"
    )
    await day.run("brake", "release", "--reason", "the rates are right")
    await day.all("server inventory pbx1 --refresh", "server list")
    await day.all("server inventory none", "server compare pbx1", "server propose pbx1")
    await day.run("server", "pause", "pbx1", "--reason", "upgrade")
    await day.all("server list", "server resume pbx1", "server resume none", "servers")
    sent = next(mail for mail in await day.json("mails") if mail["state"] == "sent")
    await day.run("mails", "resend", sent["notice_id"], "--reason", "lost")
    await day.database.execute(
        "update notifier.message set state = 'failed', last_error = '550 no such user'"
        " where message_id = $1::text::uuid",
        sent["notice_id"],
    )
    await day.run("mails", "resend", sent["notice_id"], "--reason", "address corrected")
    await adopted(day)
    await day.run("product", "remove", "1002", "pbx-1002", "--yes")
    await day.run("product", "remove", "1002", "pbx-1002", "--yes")


async def adopted(day: Day) -> None:
    """List what would be adopted for a client who was off when it was imported."""
    await day.database.execute(
        """with client as (insert into suspender.account (account_id, profile) values ('1003',
            '{"profile": {"voip_suspended": "Yes", "voip_suspended_by": "import"}}')),
        element as (insert into suspender.named_element values
            ('1003', 'pbx-1003', 'pbx1', 'extensions', 'old.voip.example', '301'))
        insert into suspender.inventory
            (server_id, kind, tenant, name, uuid, label, enabled, leads_to, read_at)
        values ('pbx1', 'extension', 'old.voip.example', '301', '', 'Front desk', false, '', now())
        """
    )
    await day.run("adopt", "list")
    for table in ("named_element", "account"):
        await day.database.execute(f"delete from suspender.{table} where account_id = '1003'")
    await day.database.execute("delete from suspender.inventory where tenant = 'old.voip.example'")


CARRIER_CSV = (
    "Lyria Telecom, prices for your account\n\n"
    "Destination;Code;New Rate;Effective Date;Forbidden;Surcharge\n"
    "Spain Mobile;346, 347;0,0130;;0;\nSpain;34;0,0065;;0;\nSpain;34;0,0090;2099-01-01;0;\n"
    "Somalia;252;0,9000;;1;\nBoston;617;0,0050;;0;0,01\nVirginia;5710-5712;0,0070;;0;\n"
)
"""Semicolons, a line above the table, no increments, dates, a blocked row, a fee."""


async def import_deck_of_carrier(day: Day) -> None:
    """Refuse the deck of a carrier with what to declare; read it with dates and blocked rows."""
    file = day.file("carrier.csv", CARRIER_CSV)
    currency = ("--currency", "CAD", "--dry-run")
    await day.run("tariff", "import", "lyria", file, *currency)
    await day.run("tariff", "columns", "lyria", file)
    declared = (
        "--map", "Description=Destination", "--map", "Prefix=Code", "--map", "RateValue=New Rate",
        "--increment", "60/1", "--decimal", "comma",
    )  # fmt: skip
    await day.run("tariff", "import", "lyria", file, *currency, *declared)
    ignored = ("--ignore-columns", "Surcharge")
    await day.run("tariff", "import", "lyria", file, *currency, *declared, *ignored)


async def price_again(day: Day) -> None:
    """Import, compare, apply and roll back a second version of the tariff."""
    file = day.file("newer.csv", NEWER_CSV)
    await day.run("tariff", "import", "north", file, "--currency", "CAD", "--yes")
    await day.all(
        "tariff list", "tariff versions north", "tariff versions none", "tariff show north",
        "tariff show north --version 2 --prefix 881", "tariff diff north 1 2",
        "tariff diff north 1 9", "tariff map north", "tariff map north Prefix=Code",
        "tariff layout north", "tariff export north --version 2",
    )  # fmt: skip
    await import_deck_of_carrier(day)
    await day.record_json(
        "tariff list", "tariff versions north", "tariff show north --limit 2",
        "tariff diff north 1 2", "tariff map north",
    )  # fmt: skip
    today = datetime.now(UTC).date()
    since, until_day = str(today - timedelta(days=2)), str(today + timedelta(days=2))
    period = ("--tariff", "north", "--version", "2", "--from", since, "--to", until_day)
    await day.run("rerate", *period)
    await day.run("rerate", *period, "--apply")
    await day.run("rerate", "--list")
    run_id = str(await day.database.fetchval("select run_id from rating.rerate_run"))
    await day.run("rerate", "--undo", run_id)
    await day.run("rerate", "--undo", "nonsense")
    await day.run("tariff", "rollback", "north", "--to", "1", "--dry-run")
    await day.run("tariff", "rollback", "north", "--to", "1", "--yes")
    await day.run("tariff", "rollback", "north", "--to", "9", "--yes")


async def check(day: Day) -> None:
    """Templates, webhooks, doctor, verify."""
    stack = day.stack
    webhook = f'[[webhook]]\nname = "crm"\nurl = "{stack.pbx_url}/hook"\nsecret_env = "CRM"\n'
    settings = {
        "CRM": "a secret for tests, long enough",
        "RINGFENCE_NOTIFIER_WEBHOOKS_FILE": day.file("webhooks.toml", webhook),
        "RINGFENCE_NOTIFIER_SMTP_HOST": "127.0.0.1",
        "RINGFENCE_NOTIFIER_SMTP_PORT": str(stack.ports["inbox"]),
        "RINGFENCE_NOTIFIER_SENDER": "billing@voip.example",
        "RINGFENCE_SERVERS_FILE": str(stack.servers_file),
    }
    template = day.file(
        "Low Balance.tpl", "Subject: For {$client_id}\n\n$ {$client_id}.00 <b>now</b>"
    )
    await day.run("template", "check", **settings)
    await day.run("template", "check", template, **settings)
    preview = ("template", "preview", "--client", "1001", "--out", str(day.folder / "preview"))
    await day.run(*preview, **settings)
    await day.run("template", "preview", "--client", "nobody", **settings)
    sending = ("template", "send", "--to", "me@example.com", "--template", "VoIP Restored")
    await day.run(*sending, **settings)
    await day.run("template", "send", "--to", "me", **settings)
    await day.run("webhooks", "list", **settings)
    await day.run("webhooks", "test", "crm", **settings)
    await day.run("webhooks", "test", "none", **settings)
    await day.run("webhooks", "log", **settings)
    preview_json = f"template preview --out {day.folder / 'preview'}"
    await day.record_json(
        "template check", preview_json, "webhooks list", "webhooks log", **settings
    )
    await day.run("server", "inventory", "pbx1", "--refresh")
    await day.run("doctor")
    await day.run("doctor", "--server", "none")
    await day.run("doctor", "--here", "--server", "pbx1")
    await day.run("verify")
    await day.run("verify", "--replay")
    await day.run("database", "verify", "--replay")
    (newest, *_) = await day.json("jobs", "list")
    await day.run("jobs", "show", newest["request_id"])
    await day.run("jobs", "show", "nothing")
    await day.run("jobs", "list", "--limit", "3")
    await day.run("client", "list", RINGFENCE_TOKEN="wrong", RINGFENCE_API=day.stack.api_url)
    await hand_out_tokens(day)
    await let_operators_in(day)
    await set_aside(day)
    await back_up(day)
    await sign_the_export(day)


async def hand_out_tokens(day: Day) -> None:
    """Tokens are created, used beyond their scopes, replaced and ended."""
    await day.run("token", "list")
    await day.run("token", "create", "desk", "--scope", "read", "--server", "pbx1")
    scopes = ("--scope", "read", "--scope", "operate", "--server", "pbx1")
    await day.run("token", "create", "desk", *scopes, "--until", "2999-01-31", "--utc")
    made = await day.json("token", "create", "shop", "--scope", "read")
    api = day.stack.api_url
    await day.run("topup", "1001", "5", RINGFENCE_TOKEN=made["secret"], RINGFENCE_API=api)
    await day.run("token", "list")
    await day.run("token", "rotate", made["token_id"])
    await day.run("token", "revoke", made["token_id"])
    await day.run("token", "revoke", "none")
    await day.run("token", "list", "--all")
    await day.run("token", "history")


async def let_operators_in(day: Day) -> None:
    """Operators are created, changed, given a link, and disabled."""
    await day.run("operator", "list")
    file = day.folder / "password"
    file.write_text("correct horse battery")
    scopes = ("--scope", "read", "--scope", "operate", "--server", "pbx1")
    await day.run("operator", "create", "anna", *scopes, "--no-password")
    await day.run("operator", "password", "anna", "--password-file", str(file))
    await day.run("operator", "change", "anna", "--scope", "read")
    await day.run("operator", "link", "anna", "--utc")
    await day.all("client link nobody", "client link 1001 --revoke")
    await day.run("operator", "list")
    await day.run("operator", "disable", "anna")
    await day.run("operator", "link", "anna")
    await day.run("operator", "enable", "anna")
    await day.run("operator", "history")


async def set_aside(day: Day) -> None:
    """Records that cannot be processed, and a call that is not to be rated."""
    await day.run("dead", "list")
    producer = AIOKafkaProducer(bootstrap_servers=day.stack.bootstrap)
    await producer.start()
    try:
        for count, value in enumerate((b"no call at all", b'{"call_id": "none"}'), 1):
            await producer.send_and_wait(CALL_COMPLETED.name, value, key=b"pbx1:frost", partition=0)
            await until(partial(_dead_records, day, count), timeout_s=BOUND_S)
    finally:
        await producer.stop()
    await day.run("dead", "list")
    await day.record_json("dead list")
    first, second = reversed(await day.json("dead", "list"))
    await day.run("dead", "show", first["dead_id"])
    await day.run("dead", "show", "nothing")
    await day.run("dead", "retry", first["dead_id"], "--reason", "tried again")
    await day.run("dead", "drop", second["dead_id"], "--reason", "a test")
    await day.run("dead", "drop", second["dead_id"])
    await day.run("dead", "list", "--state", "all")
    (waiting,) = await day.json("unrated", "list")
    await day.run("unrated", "drop", waiting["call_id"], "--reason", "a test call")
    await day.run("unrated", "drop", "nothing", "--reason", "a test call")


async def _dead_records(day: Day, count: int) -> bool:
    return len(await day.json("dead", "list")) == count


async def back_up(day: Day) -> None:
    """Back the database up, and try the backup."""
    settings = {
        "RINGFENCE_POSTGRES_DSN": day.stack.dsn,
        "RINGFENCE_KAFKA_BOOTSTRAP": day.stack.bootstrap,
    }
    folder = str(day.folder / "backup")
    await day.run("backup", folder, **settings)
    await day.run("backup", folder, **settings)
    await day.run("restore", folder, "--check", **settings)
    await day.run("restore", folder, **settings)
    await day.run("restore", str(day.folder / "nothing"), "--check", **settings)


async def sign_the_export(day: Day) -> None:
    """Have the PBX's database sign its calls."""
    servers = day.file("servers.toml", day.stack.servers_file.read_text(encoding="utf-8"))
    await day.run("server", "sign-export", "pbx1", "--servers", servers, "--yes")
    await day.run("server", "sign-export", "pbx1", "--servers", servers, "--yes")
    await day.run("server", "sign-export", "none", "--servers", servers, "--yes")


async def prepare(day: Day) -> None:
    """Run the commands that prepare servers and files, and those that need no server."""
    stack = day.stack
    owner = {"RINGFENCE_POSTGRES_DSN": stack.dsn}
    broker = {"RINGFENCE_KAFKA_BOOTSTRAP": stack.bootstrap}
    shutil.copytree(MIGRATIONS, day.folder / "migrations")
    await day.run("database", "migrate", "--folder", str(day.folder / "migrations"), **owner)
    await day.run("database", "migrate", "--folder", str(day.folder / "none"), **owner)
    await day.run("database", "logins", "--folder", str(stack.folder / "secrets"), **owner)
    await day.run("topics", "create", **broker)
    await day.run("topics", "acls", **broker)
    await day.run("topics", "acls", "--commands", **broker)
    await day.run("topics", "acls", "--apply", **broker)
    await day.record_json("topics create", "topics acls", **broker)
    await day.record_json(f"database migrate --folder {day.folder / 'migrations'}", **owner)
    await day.run("topics", "logins", "--folder", str(day.folder / "kafka-logins"), **broker)
    await day.run("secrets", "create", "--folder", str(day.folder / "secrets"))
    await day.run("secrets", "create", "--folder", str(day.folder / "secrets"))
    await day.record_json(f"secrets create --folder {day.folder / 'secrets'}")
    given = ("--url", "https://pbx.example.net/", "--host", "voip.example.net", "--no-look")
    mail = ("--smtp-host", "mail.example", "--sender", "b@x.example", "--api-key-file", "-")
    key = "a-key-of-a-pbx-0123456789-0123456789\n"
    servers = day.folder / "of-init" / "servers.toml"
    servers.parent.mkdir()
    await day.run("init", *given, "--servers", str(servers), *mail, typed=key)
    await day.run("init", *given, "--servers", str(servers))
    lesnet = ROOT / "tests" / "fixtures" / "lesnet-synthetic"
    await day.run("lesnet", "profile")
    for name in ("default.txt", "semicolon.txt"):
        shutil.copy(lesnet / name, day.folder)
        tried = ("lesnet", "try", name, "--did", "2046664021", "--rows", "2")
        await day.run(*tried)
        await day.record_json(" ".join(tried))
    for name in ("rating", "suspension", "switching", "thresholds"):
        shutil.copy(ROOT / "tests" / "vectors" / f"{name}.csv", day.folder)
        await day.run("vectors", name, f"{name}.csv")
        await day.record_json(f"vectors {name} {name}.csv")
    await day.run("vectors", "rating", "thresholds.csv")
    for path in ("tests/contract/golden", "docs"):
        shutil.copytree(ROOT / path, day.folder / path)
    await day.all("contracts check", "contracts write", "contracts check")
    await day.record_json("contracts check")
    (day.folder / "tests/contract/golden/call.rated.v1.json").unlink()
    await day.all("contracts check", "contracts write")


Outputs = tuple[dict[tuple[str, ...], str], dict[tuple[str, ...], str]]


async def play(folder: Path) -> Outputs:
    """Run the whole day; returns the output of each command, and its JSON."""
    async with Stack(folder / "stack", wanted_ports={}) as stack, SampleApi(stack) as sample:
        database = await asyncpg.connect(stack.dsn)
        day = Day(stack, sample, database, folder)
        try:
            for part in (enter, spend, look, pay, order, price_again, check, prepare):
                await part(day)
        finally:
            await database.close()
    return day.outputs, day.json_outputs


@pytest.fixture(scope="module")
def played() -> Iterator[Outputs]:
    """The output of each command, on servers of its own: it must not show data of other tests."""
    folder = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))  # the same length in every run
    with pytest.MonkeyPatch.context() as patched, in_utc():
        for name in [name for name in os.environ if name.startswith("RINGFENCE_")]:
            patched.delenv(name)
        patched.chdir(folder)
        try:
            yield asyncio.run(play(folder))
        finally:
            shutil.rmtree(folder)


@pytest.fixture
def outputs(played: Outputs) -> dict[tuple[str, ...], str]:
    """The text of each command."""
    return played[0]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_output_of_a_command_equals_its_golden_copy(
    outputs: dict[tuple[str, ...], str], command: tuple[str, ...]
) -> None:
    if command in EXCEPTIONS:
        assert command not in outputs, "it has a golden copy: remove it from EXCEPTIONS"
        return
    assert command in outputs, "no golden copy: run it in this module, or name it in EXCEPTIONS"
    compare_output(command, outputs[command])


def test_commands_that_are_run_or_excepted_exist(outputs: dict[tuple[str, ...], str]) -> None:
    assert {*EXCEPTIONS, *outputs} <= set(commands())


def test_each_golden_copy_belongs_to_a_command(outputs: dict[tuple[str, ...], str]) -> None:
    no_others(GOLDEN, {file_of(command) for command in outputs})


def test_the_json_of_commands_equals_their_golden_copies(played: Outputs) -> None:
    _, found = played
    for command, text in found.items():
        compare_json(command, text)
        for part in text.split("$ ringfence ")[1:]:
            json.loads(part.partition("\n")[2].partition("\n[exit ")[0])
    no_others(JSON_GOLDEN, {json_file_of(command) for command in found}, "*.json")

"""A PostgreSQL with FusionPBX's tables of calls and extensions, and a role that may read them."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from cdr_ingest.fusionpbx.rows import split_line
from ringfence_pbx.servers import FusionPbxServer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLES = """
create table v_extensions (extension_uuid uuid primary key, domain_uuid uuid, extension text,
    effective_caller_id_name text, enabled text);
create table v_xml_cdr (
    xml_cdr_uuid uuid primary key, domain_uuid uuid, extension_uuid uuid, sip_call_id text,
    domain_name text, accountcode text, direction text, default_language text, context text,
    caller_id_name text, caller_id_number text, caller_destination text, source_number text,
    destination_number text, start_epoch numeric, start_stamp timestamptz,
    answer_stamp timestamptz, answer_epoch numeric, end_epoch numeric, end_stamp timestamptz,
    duration numeric, mduration numeric, billsec numeric, billmsec numeric, bridge_uuid uuid,
    originating_leg_uuid uuid, cc_side text, cc_member_session_uuid uuid,
    read_codec text, write_codec text, record_path text, record_name text, leg char(1),
    pdd_ms numeric, rtp_audio_in_mos numeric, hangup_cause text, hangup_cause_q850 numeric,
    sip_hangup_disposition text, status text, missed_call boolean, xml text, json json,
    insert_date timestamptz, insert_user uuid, update_date timestamptz, update_user uuid);
"""


class CallsDatabase:
    """The PBX's database: `owner` writes as FusionPBX does, `role` is the role for ringfence."""

    def __init__(self, owner: Connection, dsn: str, role: str) -> None:
        self.owner = owner
        self.dsn = dsn
        self.role = role

    async def put_export(self, csv: bytes, inserted_at: datetime) -> None:
        """Insert the rows of an export as FusionPBX stores them."""
        header, *lines = csv.splitlines()
        names = split_line(header)
        for line in lines:
            await self.put(dict(zip(names, split_line(line), strict=True)), inserted_at)

    async def put(self, given: dict[str, Any], inserted_at: datetime | None = None) -> None:
        """Insert a row, given by the columns of the export."""
        row: dict[str, Any] = {name: value or None for name, value in given.items()}
        answered = row["answer_stamp"] and datetime.fromisoformat(row["answer_stamp"])
        await self.owner.execute(
            "insert into v_xml_cdr (xml_cdr_uuid, domain_uuid, extension_uuid, sip_call_id,"
            " domain_name, accountcode, direction, caller_id_name, caller_id_number,"
            " caller_destination, source_number, destination_number, start_epoch, start_stamp,"
            " answer_stamp, end_stamp, duration, billsec, billmsec, leg, hangup_cause, status,"
            " json, insert_date, bridge_uuid, originating_leg_uuid, cc_side,"
            " cc_member_session_uuid)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
            " $14, $15, $16, $17, $18, $19, $20, $21, $22,"
            " '{\"a\": 1}', $23, $24, $25, $26, $27)",
            uuid.UUID(row["xml_cdr_uuid"]),
            uuid.UUID(row["domain_uuid"]),
            await self._extension(row["domain_uuid"], row["extension"]),
            *(row.get(name) for name in (
                "sip_call_id", "domain_name", "accountcode", "direction", "caller_id_name",
                "caller_id_number", "caller_destination", "source_number", "destination_number",
            )),
            int(row["start_epoch"]),
            datetime.fromtimestamp(int(row["start_epoch"]), UTC),
            answered,
            row["end_stamp"] and datetime.fromisoformat(row["end_stamp"]),
            *(int(row[name] or 0) for name in ("duration", "billsec", "billmsec")),
            row["leg"],
            row.get("hangup_cause") or "NORMAL_CLEARING",
            row["status"],
            inserted_at,
            *(row.get(name) for name in (
                "bridge_uuid", "originating_leg_uuid", "cc_side", "cc_member_session_uuid",
            )),
        )  # fmt: skip

    async def _extension(self, domain: str, number: str | None) -> uuid.UUID | None:
        if not number:
            return None
        found = uuid.uuid5(uuid.UUID(domain), number)
        await self.owner.execute(
            "insert into v_extensions (extension_uuid, domain_uuid, extension) values ($1, $2, $3)"
            " on conflict do nothing",
            found,
            uuid.UUID(domain),
            number,
        )
        return found

    def server(
        self, monkeypatch: pytest.MonkeyPatch, dsn: str | None = None, **settings: Any
    ) -> FusionPbxServer:
        """The servers file's entry."""
        monkeypatch.setenv("TEST_FUSIONPBX_DSN", dsn or self.dsn)
        monkeypatch.setenv("TEST_FUSIONPBX_KEY", "k" * 40)
        return FusionPbxServer.model_validate(
            {
                "kind": "fusionpbx",
                "url": "http://127.0.0.1:1",
                "api_key": {"env": "TEST_FUSIONPBX_KEY"},
                "way": "database",
                "dsn": {"env": "TEST_FUSIONPBX_DSN"},
                "all_tenants": True,
                "timeout_s": 5,
                **settings,
            }
        )


@asynccontextmanager
async def calls_database(postgres_server: str) -> AsyncIterator[CallsDatabase]:
    """A new database with these tables; it is dropped afterwards, with its role."""
    name, role = f"fusionpbx_{uuid.uuid4().hex[:10]}", f"billing_{uuid.uuid4().hex[:10]}"
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"create database {name} template template0")
    await admin.execute(f"create role {role} login password 'pa55 word'")
    parts = urlsplit(postgres_server)
    here = urlunsplit(parts._replace(path=f"/{name}"))
    owner = await asyncpg.connect(here)
    try:
        await owner.execute(TABLES)
        await owner.execute(f"grant select on v_xml_cdr, v_extensions to {role}")
        place = parts.netloc.rpartition("@")[2]
        theirs = parts._replace(netloc=f"{role}:pa55%20word@{place}", path=f"/{name}")
        yield CallsDatabase(owner, urlunsplit(theirs), role)
    finally:
        await owner.close()
        await admin.execute(f"drop database {name} with (force)")
        await admin.execute(f"drop role {role}")
        await admin.close()

-- How far each lane of a source (one tenant, or all of a server) was read.
create table cdr_ingest.cursor (
    server_id text not null,
    lane text not null,
    read_until bigint not null,
    longest_call_s int not null default 0,
    swept_at bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (server_id, lane)
);

-- Every record that was accepted from a source, and what became of it here. Written after the
-- broker has the event: a crash between the two publishes the same id again, which changes nothing.
create table cdr_ingest.record (
    record_id uuid primary key,
    server_id text not null,
    tenant text not null,
    source text not null,
    disposition text not null check (disposition in ('published', 'b-leg', 'dead')),
    reason text not null default '',
    started_at timestamptz,
    accepted_at timestamptz not null default now()
);
create index record_hour on cdr_ingest.record (server_id, started_at);

grant select, insert, update, delete on all tables in schema cdr_ingest to ringfence_cdr_ingest;

-- Where a lane's very first window began: calls before it are not ours to bill. A lane that was
-- read before this column came counts from where it had been read to.
alter table cdr_ingest.cursor add column read_from bigint not null default 0;
update cdr_ingest.cursor set read_from = read_until;

-- A lane's outage, the one that is on or else the last. Told when it begins and when it ends.
create table cdr_ingest.outage (
    server_id text not null,
    lane text not null,
    outage_id uuid not null,
    reason text not null,
    failures int not null,
    failed_at timestamptz not null,
    recovered_at timestamptz,
    primary key (server_id, lane)
);

-- What a source listed of an hour of call starts, against what had come. `healed` are the calls
-- that reconciliation brought, `ingested` those that came the ordinary way; checked_at is null while
-- a gap was found and is not closed yet.
create table cdr_ingest.reconciled (
    server_id text not null,
    lane text not null,
    hour timestamptz not null,
    listed int not null,
    ingested int not null,
    healed int not null default 0,
    checked_at timestamptz,
    primary key (server_id, lane, hour)
);

create table cdr_ingest.outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    key text not null,
    value bytea not null,
    event_id uuid not null,
    time timestamptz not null,
    source text not null,
    subject text not null,
    correlation_id text not null
);

grant select, insert, update, delete on all tables in schema cdr_ingest to ringfence_cdr_ingest;
grant usage on all sequences in schema cdr_ingest to ringfence_cdr_ingest;

create view report.reconciliation as
select server_id, lane, hour, listed, ingested, healed, checked_at
from cdr_ingest.reconciled;

create view report.source_outage as
select server_id, lane, reason, failures, failed_at, recovered_at
from cdr_ingest.outage;

grant select on report.reconciliation, report.source_outage to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

-- Records that no consumer can process, kept beside the dead letters, for each service that reads
-- topics. `rejected_record`: bad records of a source beyond its limit (the dead letters have those
-- within it), kept for 30 days. `reject_source`: the sources that are beyond it now. `crash`: where
-- the process of a consumer ended by a bug; the record that crashes is at one of these offsets.
create table rating.rejected_record (
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    consumer text not null,
    source text not null,
    reason text not null,
    key bytea,
    value bytea not null,
    headers jsonb not null default '[]',
    value_bytes int not null,
    rejected_at timestamptz not null,
    primary key (consumer, topic, partition, "offset")
);
create index rejected_record_source on rating.rejected_record (source, rejected_at);
create index rejected_record_at on rating.rejected_record (rejected_at);

create table rating.reject_source (
    consumer text not null,
    source text not null,
    since timestamptz not null,
    last_at timestamptz not null,
    records bigint not null,
    primary key (consumer, source)
);

create table rating.crash (
    consumer text not null,
    topic text not null,
    partition int not null,
    first_offset bigint not null,
    last_offset bigint not null,
    crashes int not null,
    alone boolean not null,
    reason text not null,
    traceback text not null,
    crashed_at timestamptz not null,
    primary key (consumer, topic, partition)
);

create table cdr_ingest.rejected_record (like rating.rejected_record including all);
create table cdr_ingest.reject_source (like rating.reject_source including all);
create table cdr_ingest.crash (like rating.crash including all);
create table balance_watch.rejected_record (like rating.rejected_record including all);
create table balance_watch.reject_source (like rating.reject_source including all);
create table balance_watch.crash (like rating.crash including all);
create table suspender.rejected_record (like rating.rejected_record including all);
create table suspender.reject_source (like rating.reject_source including all);
create table suspender.crash (like rating.crash including all);
create table notifier.rejected_record (like rating.rejected_record including all);
create table notifier.reject_source (like rating.reject_source including all);
create table notifier.crash (like rating.crash including all);
create table accounts.rejected_record (like rating.rejected_record including all);
create table accounts.reject_source (like rating.reject_source including all);
create table accounts.crash (like rating.crash including all);

grant select, insert, update, delete on rating.rejected_record, rating.reject_source, rating.crash
    to ringfence_rating;
grant select, insert, update, delete on cdr_ingest.rejected_record, cdr_ingest.reject_source, cdr_ingest.crash
    to ringfence_cdr_ingest;
grant select, insert, update, delete on balance_watch.rejected_record, balance_watch.reject_source, balance_watch.crash
    to ringfence_balance_watch;
grant select, insert, update, delete on suspender.rejected_record, suspender.reject_source, suspender.crash
    to ringfence_suspender;
grant select, insert, update, delete on notifier.rejected_record, notifier.reject_source, notifier.crash
    to ringfence_notifier;
grant select, insert, update, delete on accounts.rejected_record, accounts.reject_source, accounts.crash
    to ringfence_accounts;

-- The services that raise alarms from now on, and the outbox that balance-watch did not need before.
create table if not exists balance_watch.alarm (like rating.alarm including all);
create table if not exists accounts.alarm (like rating.alarm including all);
create table if not exists cdr_ingest.alarm (like rating.alarm including all);
grant select, insert, update on balance_watch.alarm to ringfence_balance_watch;
grant select, insert, update on accounts.alarm to ringfence_accounts;
grant select, insert, update on cdr_ingest.alarm to ringfence_cdr_ingest;

create table if not exists balance_watch.outbox (
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
grant select, insert, update, delete on balance_watch.outbox to ringfence_balance_watch;
grant usage on all sequences in schema balance_watch to ringfence_balance_watch;

create or replace view report.alarm as
select 'rating'::text as service, * from rating.alarm
union all
select 'suspender'::text, * from suspender.alarm
union all
select 'notifier'::text, * from notifier.alarm
union all
select 'accounts'::text, * from accounts.alarm
union all
select 'balance-watch'::text, * from balance_watch.alarm
union all
select 'cdr-ingest'::text, * from cdr_ingest.alarm;

create view report.rejected_record as
select 'rating'::text as service, * from rating.rejected_record
union all
select 'cdr-ingest'::text, * from cdr_ingest.rejected_record
union all
select 'balance-watch'::text, * from balance_watch.rejected_record
union all
select 'suspender'::text, * from suspender.rejected_record
union all
select 'notifier'::text, * from notifier.rejected_record
union all
select 'accounts'::text, * from accounts.rejected_record;
grant select on report.rejected_record to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

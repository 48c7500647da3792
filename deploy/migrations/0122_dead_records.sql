-- The dead letters as operators see them: each service keeps those of its consumers beside their
-- topic, with its bytes up to a limit (`value_bytes`: the size of the whole record).
-- `state`: dead, or what an operator decided: retried (handled again, with success) or dropped.
create table rating.dead_record (
    dead_id uuid primary key,
    consumer text not null,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    reason text not null,
    traceback text not null default '',
    key bytea,
    value bytea not null,
    headers jsonb not null default '[]',
    value_bytes int not null,
    dead_at timestamptz not null,
    state text not null default 'dead' check (state in ('dead', 'retried', 'dropped')),
    decided_at timestamptz,
    decided_by text not null default '',
    decided_why text not null default ''
);
create index dead_record_newest on rating.dead_record (dead_at desc, dead_id desc);

-- What an operator asked for, each done at most once by its id.
create table rating.dead_answer (
    request_id uuid primary key,
    command text not null,
    arguments jsonb not null,
    requested_by text not null,
    reason text not null,
    requested_at timestamptz not null,
    state text not null check (state in ('done', 'refused')),
    answer text not null,
    answered_at timestamptz not null
);
create table balance_watch.dead_record (like rating.dead_record including all);
create table balance_watch.dead_answer (like rating.dead_answer including all);
create table suspender.dead_record (like rating.dead_record including all);
create table suspender.dead_answer (like rating.dead_answer including all);
create table notifier.dead_record (like rating.dead_record including all);
create table notifier.dead_answer (like rating.dead_answer including all);
create table accounts.dead_record (like rating.dead_record including all);
create table accounts.dead_answer (like rating.dead_answer including all);
grant select, insert, update, delete on rating.dead_record, rating.dead_answer to ringfence_rating;
grant select, insert, update, delete on balance_watch.dead_record, balance_watch.dead_answer to ringfence_balance_watch;
grant select, insert, update, delete on suspender.dead_record, suspender.dead_answer to ringfence_suspender;
grant select, insert, update, delete on notifier.dead_record, notifier.dead_answer to ringfence_notifier;
grant select, insert, update, delete on accounts.dead_record, accounts.dead_answer to ringfence_accounts;

-- Rows of a source that became no event are listed too, without their bytes.
create view report.dead_letter as
select 'rating'::text as service, dead_id, consumer, topic, partition, "offset", reason,
    traceback, key, value, headers, value_bytes, dead_at, state, decided_at, decided_by, decided_why
from rating.dead_record
union all
select 'balance-watch'::text, dead_id, consumer, topic, partition, "offset", reason,
    traceback, key, value, headers, value_bytes, dead_at, state, decided_at, decided_by, decided_why
from balance_watch.dead_record
union all
select 'suspender'::text, dead_id, consumer, topic, partition, "offset", reason,
    traceback, key, value, headers, value_bytes, dead_at, state, decided_at, decided_by, decided_why
from suspender.dead_record
union all
select 'notifier'::text, dead_id, consumer, topic, partition, "offset", reason,
    traceback, key, value, headers, value_bytes, dead_at, state, decided_at, decided_by, decided_why
from notifier.dead_record
union all
select 'accounts'::text, dead_id, consumer, topic, partition, "offset", reason,
    traceback, key, value, headers, value_bytes, dead_at, state, decided_at, decided_by, decided_why
from accounts.dead_record
union all
select 'cdr-ingest'::text, record_id, 'cdr-ingest', 'call.completed.v1.dlq.cdr-ingest', null::int,
    null::bigint, reason, '', convert_to(server_id || ':' || tenant, 'UTF8'), ''::bytea, '[]'::jsonb, 0,
    accepted_at, 'dead', null::timestamptz, '', ''
from cdr_ingest.record where disposition = 'dead';
create index record_dead on cdr_ingest.record (accepted_at) where disposition = 'dead';

-- Requests about dead records are read here by the service that has the record (ADR 40).
create index command_dead on accounts.command (service, requested_at)
    where command in ('dead.retry', 'dead.drop');
create view report.dead_request as
select request_id, service, command, arguments, requested_by, reason, requested_at
from accounts.command where command in ('dead.retry', 'dead.drop');

create or replace view report.command as
select 'suspender'::text as service, request_id, command, arguments, requested_by, reason,
    requested_at, state, answer, answered_at
from suspender.command
union all
select 'notifier'::text, request_id, command, arguments, requested_by, reason,
    requested_at, state, answer, answered_at
from notifier.command
union all
select service, request_id, command, arguments, requested_by, reason, requested_at,
    case state when 'done' then state else 'refused' end, message, finished_at
from report.job where finished_at is not null
union all
select 'rating'::text, request_id, command, arguments, requested_by, reason, requested_at, state,
    answer, answered_at
from rating.dead_answer
union all
select 'balance-watch'::text, request_id, command, arguments, requested_by, reason, requested_at, state,
    answer, answered_at
from balance_watch.dead_answer
union all
select 'suspender'::text, request_id, command, arguments, requested_by, reason, requested_at, state,
    answer, answered_at
from suspender.dead_answer
union all
select 'notifier'::text, request_id, command, arguments, requested_by, reason, requested_at, state,
    answer, answered_at
from notifier.dead_answer
union all
select 'accounts'::text, request_id, command, arguments, requested_by, reason, requested_at, state,
    answer, answered_at
from accounts.dead_answer;

grant select on report.dead_letter, report.dead_request to ringfence_cdr_ingest, ringfence_rating,
    ringfence_balance_watch, ringfence_suspender, ringfence_notifier, ringfence_accounts;

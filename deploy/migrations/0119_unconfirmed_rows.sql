-- Rows that a PBX lists as calls and does not confirm (ADR 37). They wait here and in the unrated
-- queue under `row_id`; nobody is charged for them. `lane` is the feed that listed the row, `tenant`
-- the one that it claims. With `confirmed_at`, the call `call_id` was published instead.
create table cdr_ingest.unconfirmed_row (
    row_id uuid primary key,
    server_id text not null,
    lane text not null,
    tenant text not null,
    source_call_id text not null,
    reason text not null check (reason in ('not-confirmed', 'unreadable')),
    detail text not null,
    billsec int not null,
    started_at timestamptz not null,
    row_text text not null,
    seen_at timestamptz not null,
    attempts int not null default 1,
    asked_at timestamptz not null,
    next_attempt_at timestamptz,
    confirmed_at timestamptz,
    call_id uuid
);
create index unconfirmed_row_waiting on cdr_ingest.unconfirmed_row (server_id, next_attempt_at)
    where confirmed_at is null;
grant select, insert, update, delete on cdr_ingest.unconfirmed_row to ringfence_cdr_ingest;

create view report.unconfirmed_row as
select row_id, server_id, lane, tenant, source_call_id, reason, detail, billsec, started_at, row_text,
    seen_at, attempts, asked_at, next_attempt_at, confirmed_at, call_id
from cdr_ingest.unconfirmed_row;

-- In the unrated queue: `is_row` says that `call_id` is a row's id and `call` the row's text, which
-- rating cannot price; a mark for another attempt asks cdr-ingest to have it confirmed.
alter table rating.unrated add column is_row boolean not null default false;
create index unrated_row on rating.unrated (server_id, tenant) where is_row;

create or replace view report.unrated as
select
    call_id, server_id, tenant, reason, detail, account_id, service_id, billsec, started_at,
    queued_at, is_row
from rating.unrated;

create view report.row_requested as
select call_id as row_id, replay_requested_at as requested_at
from rating.unrated where is_row and replay_requested_at is not null;

grant select on report.unconfirmed_row, report.row_requested to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

-- I3, with the rows that wait: each is in the unrated queue, or dead once an operator dropped it.
create or replace view rating.drift_i3 as
with accepted as (
    select record_id as call_id, server_id, tenant, accepted_at
    from report.accepted_record where disposition = 'published'
    union all
    select row_id, server_id, tenant, seen_at from report.unconfirmed_row where confirmed_at is null
)
select r.call_id, r.server_id, r.tenant, r.accepted_at, coalesce(p.places, 0) as places
from accepted r
left join (
    select call_id, count(*) as places
    from (
        select distinct cause_id as call_id from rating.ledger where kind = 'charge'
        union all
        select call_id from rating.not_billed
        union all
        select call_id from rating.unrated
        union all
        -- A dead call that was sent again and settled is dead no more.
        select d.call_id from rating.dead_call d
        where not exists (
            select from rating.ledger l where l.kind = 'charge' and l.cause_id = d.call_id
        )
        and not exists (select from rating.not_billed n where n.call_id = d.call_id)
        and not exists (select from rating.unrated u where u.call_id = d.call_id)
    ) as settled
    group by call_id
) as p on p.call_id = r.call_id
where coalesce(p.places, 0) <> 1;

-- Long work that an operator requests from a service: taken by one worker at a time, which extends
-- `leased_until` while it works. The arguments are those of the request, the result is that of the
-- handler, and `message` says why a job was refused or failed.
create table rating.job (
    request_id uuid primary key,
    command text not null,
    arguments jsonb not null,
    requested_by text not null,
    reason text not null default '',
    requested_at timestamptz not null,
    leased_until timestamptz,
    attempts int not null default 0,
    started_at timestamptz,
    progress text not null default '',
    done int,
    total int,
    finished_at timestamptz,
    state text not null default 'waiting'
        check (state in ('waiting', 'running', 'done', 'refused', 'failed')),
    result jsonb,
    message text not null default '',
    check ((finished_at is null) = (state in ('waiting', 'running')))
);
create index job_open on rating.job (requested_at) where state in ('waiting', 'running');
create index job_newest on rating.job (requested_at desc, request_id desc);
grant select, insert, update, delete on rating.job to ringfence_rating;

create table cdr_ingest.job (like rating.job including all);
grant select, insert, update, delete on cdr_ingest.job to ringfence_cdr_ingest;

create view report.job as
select 'rating'::text as service, * from rating.job
union all
select 'cdr-ingest'::text, * from cdr_ingest.job;

-- A job answers its command when it has finished; one that failed is shown as refused.
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
from report.job where finished_at is not null;

-- Re-ratings, each with how many charges it replaced and what was credited by that (negative: charged).
create view report.rerate_run as
select r.run_id, r.tariff_id, r.version_id, r.from_text, r.to_text, r.account_id, r.started_at,
    r.applied_at, r.undo_started_at, r.undone_at,
    case
        when r.undone_at is not null then 'undone'
        when r.undo_started_at is not null then 'undo interrupted'
        when r.applied_at is not null then 'applied'
        else 'interrupted'
    end as state,
    coalesce(c.calls, 0) as calls, coalesce(c.difference_micro, 0)::bigint as difference_micro
from rating.rerate_run r
left join (
    select run_id, count(*) as calls, sum(difference_micro) as difference_micro
    from rating.rerate_change where not undoes group by run_id
) as c using (run_id);

grant select on report.job, report.rerate_run to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch, ringfence_suspender,
    ringfence_notifier, ringfence_accounts;

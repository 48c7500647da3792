-- What services publish for questions. Each view is a contract: add columns, never change one.

create view report.accepted_record as
select record_id, server_id, tenant, source, disposition, reason, started_at, accepted_at
from cdr_ingest.record;

create view report.balance as
select account_id, balance_micro, version, currency, updated_at
from rating.account;

create view report.ledger as
select
    entry_id, account_id, version, kind, amount_micro, balance_after_micro, occurred_at,
    posted_at, cause_id, reverses, explanation::json as explanation
from rating.ledger;

create view report.call as
select
    cause_id as call_id, account_id, explanation::json ->> 'service_id' as service_id,
    'rated'::text as outcome, ''::text as reason, false as hidden,
    -amount_micro as cost_micro, explanation::json ->> 'direction' as direction,
    explanation::json ->> 'number' as number, (explanation::json ->> 'billsec')::int as billsec,
    (explanation::json ->> 'started_at')::timestamptz as started_at,
    explanation::json as explanation
from rating.ledger
where kind = 'charge'
union all
select
    call_id, account_id, service_id, 'not-billed', reason, hidden, 0,
    detail::json ->> 'direction', detail::json ->> 'number', (detail::json ->> 'billsec')::int,
    started_at, detail::json
from rating.not_billed;

create view report.unrated as
select
    call_id, server_id, tenant, reason, detail, account_id, service_id, billsec, started_at,
    queued_at
from rating.unrated;

create view report.level as
select account_id, level, balance_micro, balance_version, threshold_micro, outstanding_micro
from balance_watch.account;

create view report.service_state as
select
    service_id, account_id, server_id, wanted, mode, confirmed,
    (wanted_seq > confirmed_seq) as open, coalesce(confirmed_at, wanted_at) as since,
    evidence, last_error, attempts, next_attempt_at
from suspender.service;

create view report.message as
select message_id, account_id, template, recipient, subject, state, attempts, created_at,
    sent_at, last_error
from notifier.message;

grant select on all tables in schema report to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

-- The invariants, as views that are empty when all is well (ringfence verify reads them).

-- I1: the sum of an account's entries is its balance, its versions have no gap, and each
-- entry's balance follows from the one before.
create view rating.drift_i1 as
select
    a.account_id, a.balance_micro, coalesce(l.total_micro, 0) as ledger_micro, a.version,
    coalesce(l.entries, 0) as entries, coalesce(l.broken, 0) as broken_links
from rating.account a
left join (
    select
        account_id, sum(amount_micro) as total_micro, count(*) as entries,
        max(version) as last_version,
        count(*) filter (where balance_after_micro <> before_micro + amount_micro) as broken
    from (
        select
            account_id, version, amount_micro, balance_after_micro,
            lag(balance_after_micro, 1, 0::bigint)
                over (partition by account_id order by version) as before_micro
        from rating.ledger
    ) as chained
    group by account_id
) as l using (account_id)
where a.balance_micro <> coalesce(l.total_micro, 0)
    or a.version <> coalesce(l.entries, 0)
    or coalesce(l.last_version, 0) <> a.version
    or coalesce(l.broken, 0) > 0;

-- I3: every accepted call is in exactly one of rated, not billed, unrated, dead.
create view rating.drift_i3 as
select r.record_id as call_id, r.server_id, r.tenant, r.accepted_at, coalesce(p.places, 0) as places
from report.accepted_record r
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
) as p on p.call_id = r.record_id
where r.disposition = 'published' and coalesce(p.places, 0) <> 1;

-- I4: at most one charge of a call is live (not reversed).
create view rating.drift_i4 as
select l.cause_id as call_id, count(*) as live_charges
from rating.ledger l
where l.kind = 'charge'
    and not exists (select from rating.ledger r where r.reverses = l.entry_id)
group by l.cause_id
having count(*) > 1;

grant select on rating.drift_i1, rating.drift_i3, rating.drift_i4 to ringfence_rating;

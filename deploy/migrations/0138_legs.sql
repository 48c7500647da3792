-- Legs that left by a carrier on behalf of another call (ADR 48).
--
-- `originating_id` is the record of the leg that a b leg names, so that a chain of transfers leads
-- to the call at its beginning.
alter table cdr_ingest.record add column originating_id uuid;

-- The legs that may be charged, except those that their outbound call paid for at once. `value` is
-- the leg as it was read, `message_key` the key under which it is published, `entry_id` the charge that
-- it would have, `originating_entry_id` that of its origin. `waiting`: its origin
-- is not known yet; `queued`: published as unrated meanwhile; `given-up`: the origin did not come in
-- time, or the source names none. `charged` and `part-of-call` are decisions. `next_look_at` is
-- when a leg without decision is looked at again.
create table cdr_ingest.leg (
    record_id uuid primary key,
    originating_id uuid,
    message_key text not null,
    value bytea not null,
    talk_s int not null,
    charged_s int not null default 0,
    entry_id uuid not null,
    originating_entry_id uuid,
    state text not null
        check (state in ('waiting', 'queued', 'given-up', 'charged', 'part-of-call')),
    noted_at timestamptz not null default now(),
    queued_at timestamptz,
    decided_at timestamptz,
    next_look_at timestamptz
);
create index leg_next_look on cdr_ingest.leg (next_look_at) where next_look_at is not null;
create index leg_noted on cdr_ingest.leg (noted_at);
grant select, insert, update, delete on cdr_ingest.leg to ringfence_cdr_ingest;

create view report.leg as
select record_id as call_id, originating_id as originating_call_id, state, talk_s, charged_s,
    entry_id, originating_entry_id, noted_at, queued_at, decided_at
from cdr_ingest.leg;
grant select on report.leg to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

-- I4: a leg that left by a carrier has one live charge at most: its own, or that of the outbound
-- call that it names; where both are charged, they share the leg's talk. Charges are found by their
-- ids: the first one's follows from the call's, those of re-ratings are noted.
create view rating.drift_i4_legs as
with live as (
    select l.call_id, l.originating_call_id, l.state, l.talk_s,
        (own.explanation::jsonb ->> 'billsec')::int as own_s,
        case when origin.explanation::jsonb ->> 'direction' = 'outbound'
            then (origin.explanation::jsonb ->> 'billsec')::int end as origin_s
    from report.leg l
    join lateral (
        select e.explanation from rating.ledger e
        where e.entry_id in (
            select l.entry_id union all
            select c.charge_id from rating.rerate_change c where c.call_id = l.call_id
        )
        and not exists (select from rating.ledger r where r.reverses = e.entry_id)
    ) as own on true
    left join lateral (
        select e.explanation from rating.ledger e
        where e.entry_id in (
            select l.originating_entry_id union all
            select c.charge_id from rating.rerate_change c where c.call_id = l.originating_call_id
        )
        and not exists (select from rating.ledger r where r.reverses = e.entry_id)
    ) as origin on true
)
select call_id, originating_call_id, talk_s, own_s, origin_s
from live
where own_s > talk_s
    or state = 'part-of-call'
    or (own_s < talk_s and own_s + origin_s > talk_s);
grant select on rating.drift_i4_legs to ringfence_rating;

-- A leg that was queued and is decided later is published again with its decision.
grant update (value) on cdr_ingest.published_call to ringfence_cdr_ingest;

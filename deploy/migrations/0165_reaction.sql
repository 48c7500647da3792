-- When each switch of a service was wanted and when the PBX confirmed it. With the charge or the payment
-- that caused it this is the reaction: from the end of a call to the PBX.
create table suspender.switch_time (
    account_id text not null,
    service_id text not null,
    wanted_seq bigint not null,
    wanted text not null check (wanted in ('active', 'suspended')),
    correlation_id text not null,
    wanted_at timestamptz not null,
    confirmed_at timestamptz not null,
    primary key (account_id, service_id, wanted_seq)
);
create index switch_time_at on suspender.switch_time (confirmed_at);
grant select, insert, delete on suspender.switch_time to ringfence_suspender;

create function balance_watch.balance_version(value bytea) returns bigint
language sql immutable parallel safe as $$
    select substring(encode(value, 'escape') from '"balance_version": *([0-9]{1,18})')::bigint
$$;

-- A switch that a charge (off) or a payment (on) caused: one that follows a release of the brake, an
-- order or a change of mode has another cause, and is not here.
create view report.reaction as
select
    s.account_id, s.service_id, s.wanted, l.cause_id, l.occurred_at, l.posted_at, c.crossed_at,
    s.wanted_at, s.confirmed_at
from suspender.switch_time s
join lateral (
    select c.crossed_at, c.value from balance_watch.crossing c
    where c.account_id = s.account_id and c.correlation_id = s.correlation_id
        and c.topic = case s.wanted
            when 'suspended' then 'balance.zero.v1' else 'balance.restored.v1' end
    order by c.crossed_at desc limit 1
) as c on true
join rating.ledger l
    on l.account_id = s.account_id and l.version = balance_watch.balance_version(c.value)
where l.kind = case s.wanted when 'suspended' then 'charge' else 'top-up' end;
grant select on report.reaction to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

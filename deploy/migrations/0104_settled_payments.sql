-- How many payments are posted in the balance.
alter table rating.account add column settled bigint not null default 0;
update rating.account a set settled = l.payments
from (
    select account_id, count(*) as payments from rating.ledger
    where kind in ('top-up', 'adjustment') group by account_id
) as l
where l.account_id = a.account_id;
update balance_watch.account w set settled = (
    select count(*) from rating.ledger l
    where l.account_id = w.account_id and l.kind in ('top-up', 'adjustment')
        and l.version <= w.balance_version
)
where w.level is not null;

-- Payments that accounts does not hold, or holds otherwise: neither posted nor rejected.
create table rating.unclaimed (
    payment_id uuid primary key,
    account_id text not null,
    kind text not null,
    amount_micro bigint not null,
    currency text not null,
    reference text not null,
    received_at timestamptz not null,
    refunds uuid,
    correlation_id text not null,
    reason text not null,
    record text not null,
    since timestamptz not null default now()
);
create index unclaimed_account on rating.unclaimed (account_id);
grant select, insert, update, delete on rating.unclaimed to ringfence_rating;

create or replace view report.balance as
select account_id, balance_micro, version, currency, updated_at, settled from rating.account;

create view report.unclaimed_payment as
select payment_id, account_id, kind, amount_micro, currency, reference, received_at, refunds,
    reason, since
from rating.unclaimed;

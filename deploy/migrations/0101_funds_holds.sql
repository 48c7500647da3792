-- The funds hold of each account, and what it was decided from (architecture, section 4).
-- `accepted` payments belong to the debts, `settled` ones to the balance (null: not known).
-- `funds` is the class of the last pair of credit and debts that was recorded, `pairs` its number.
-- `posted`: a posting other than the opening balance was seen.
alter table balance_watch.account
    add column held boolean not null default false,
    add column holds bigint not null default 0,
    add column stay boolean not null default false,
    add column stays bigint not null default 0,
    add column credit_limit_micro bigint not null default 0,
    add column accepted bigint not null default 0,
    add column settled bigint,
    add column mode text not null default 'live' check (mode in ('shadow', 'live')),
    add column funds text check (funds in ('spent', 'free', 'between')),
    add column posted boolean not null default false,
    add column pairs bigint not null default 0,
    add column updated_at timestamptz not null default now();

-- The history that I11 is checked against: a row for each change of the class or of the hold.
-- `held` is the hold after it; `imported` rows began the hold of a client that was off when it was
-- imported. `spent` by debts alone begins a hold, and `free` ends it, only where settled (if it is
-- known) is not less than accepted.
create table balance_watch.funds_pair (
    account_id text not null,
    number bigint not null,
    funds text not null check (funds in ('spent', 'free', 'between')),
    held boolean not null,
    imported boolean not null default false,
    balance_version bigint not null,
    balance_micro bigint not null,
    profile_version bigint not null,
    outstanding_micro bigint not null,
    credit_limit_micro bigint not null,
    accepted bigint not null,
    settled bigint,
    cause_id uuid,
    recorded_at timestamptz not null default now(),
    primary key (account_id, number)
);
grant select, insert on balance_watch.funds_pair to ringfence_balance_watch;

-- Installations from before: exhausted was what is held now, and so was a service that stayed off
-- for its funds while debts were left that the credit covers.
update balance_watch.account a set
    level = case
        when level <> 'exhausted' and outstanding_micro > 0 and exists (
            select from suspender.service s
            where s.account_id = a.account_id and s.wanted = 'suspended' and s.mode = 'auto'
        ) then 'exhausted'
        else level
    end,
    funds = case
        when balance_micro <= 0 or outstanding_micro > balance_micro then 'spent'
        when outstanding_micro <= 0 then 'free'
        else 'between'
    end,
    posted = true,
    pairs = 1
where level is not null;
update balance_watch.account set
    held = (level = 'exhausted'),
    holds = case when level = 'exhausted' then 1 else 0 end,
    stay = (level = 'low'),
    stays = case when level = 'low' then 1 else 0 end
where level is not null;
insert into balance_watch.funds_pair
    (account_id, number, funds, held, balance_version, balance_micro, profile_version,
     outstanding_micro, credit_limit_micro, accepted)
select account_id, 1, funds, held, balance_version, balance_micro, profile_version,
    outstanding_micro, 0, 0
from balance_watch.account where level is not null;

create or replace view report.level as
select
    account_id, level, balance_micro, balance_version, threshold_micro, outstanding_micro,
    held, holds as hold, stay, credit_limit_micro, accepted, settled, mode, profile_version,
    funds, updated_at
from balance_watch.account;

create view report.funds_pair as select * from balance_watch.funds_pair;

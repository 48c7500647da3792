-- Each account's level, and what it was last computed from.
create table balance_watch.account (
    account_id text primary key,
    currency text not null,
    threshold_micro bigint,
    outstanding_micro bigint not null,
    profile_version int not null,
    balance_micro bigint not null,
    balance_version bigint not null,
    level text check (level in ('ok', 'low', 'exhausted')),
    crossings bigint not null default 0
) with (fillfactor = 70);

-- Every crossing that was announced, with the event as it was published: a replay of its cause
-- publishes the same again.
create table balance_watch.crossing (
    cause_id uuid primary key,
    account_id text not null,
    topic text not null,
    value bytea not null,
    crossed_at timestamptz not null,
    correlation_id text not null
);
create index crossing_account on balance_watch.crossing (account_id, crossed_at);

grant select, insert, update, delete on all tables in schema balance_watch
    to ringfence_balance_watch;

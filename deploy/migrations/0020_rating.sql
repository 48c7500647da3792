-- What rating knows of an account. `changed_in` lets each worker read only what is new to it.
create table rating.profile (
    account_id text primary key,
    version int not null,
    profile json not null,
    changed_in xid8 not null default pg_current_xact_id()
);
create index profile_changed_in on rating.profile (changed_in);

create table rating.tariff (
    version_id int primary key,
    tariff_id text not null,
    currency text not null,
    effective_from timestamptz not null,
    rows int not null,
    sha256 text not null,
    changed_in xid8 not null default pg_current_xact_id()
);
create index tariff_changed_in on rating.tariff (changed_in);

-- The balance beside the ledger: a sum that is kept in the ledger's own transactions.
create table rating.account (
    account_id text primary key,
    currency text not null,
    balance_micro bigint not null default 0,
    version bigint not null default 0,
    updated_at timestamptz not null default now()
) with (fillfactor = 70);

-- Append-only: the role may neither change nor remove a row.
create table rating.ledger (
    account_id text not null,
    version bigint not null,
    entry_id uuid not null,
    kind text not null check (kind in ('charge', 'top-up', 'adjustment', 'reversal')),
    amount_micro bigint not null,
    balance_after_micro bigint not null,
    cause_id uuid not null,
    reverses uuid,
    occurred_at timestamptz not null,
    posted_at timestamptz not null default now(),
    input_hash bytea not null,
    explanation text not null,
    primary key (account_id, version),
    check (kind <> 'charge' or amount_micro <= 0)
);
-- One entry per cause over all accounts: a call that comes again after its DID moved to another
-- client is still the same call (docs/adr/0006).
create unique index ledger_entry on rating.ledger (entry_id);
create index ledger_reverses on rating.ledger (reverses) where reverses is not null;

create table rating.not_billed (
    call_id uuid primary key,
    account_id text not null,
    service_id text not null,
    reason text not null,
    hidden boolean not null,
    started_at timestamptz not null,
    input_hash bytea not null,
    detail text not null,
    posted_at timestamptz not null default now()
);
create index not_billed_account on rating.not_billed (account_id, started_at);

create table rating.unrated (
    call_id uuid primary key,
    server_id text not null,
    tenant text not null,
    reason text not null,
    detail text not null,
    account_id text,
    service_id text,
    billsec int not null,
    started_at timestamptz not null,
    input_hash bytea not null,
    call text not null,
    queued_at timestamptz not null default now()
);

create table rating.dead_call (
    call_id uuid primary key,
    reason text not null,
    record text not null,
    died_at timestamptz not null default now()
);

create table rating.free_minutes (
    account_id text not null,
    service_id text not null,
    period date not null,
    used_s int not null check (used_s >= 0),
    primary key (account_id, service_id, period)
);

grant select, insert, update, delete on all tables in schema rating to ringfence_rating;
revoke update, delete, truncate on rating.ledger from ringfence_rating;
grant usage on all sequences in schema rating to ringfence_rating;

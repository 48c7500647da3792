-- The front door's own tables: clients, packages, products, payments, tariffs.

create table accounts.account (
    account_id text primary key,
    version bigint not null check (version >= 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    time_zone text not null,
    client jsonb not null,
    profile jsonb not null,
    outstanding_micro bigint not null default 0 check (outstanding_micro >= 0),
    changed_at timestamptz not null
);

-- Who changed an account, and how: one row for each published version.
create table accounts.account_change (
    account_id text not null references accounts.account,
    version bigint not null,
    what text not null,
    changed_by text not null,
    changed_at timestamptz not null,
    primary key (account_id, version)
);

create table accounts.package (
    package_id text primary key,
    data jsonb not null,
    changed_by text not null,
    changed_at timestamptz not null
);

-- `fields` is the product as it was entered; `service` what was read from it, without the package.
create table accounts.product (
    service_id text primary key,
    account_id text not null references accounts.account,
    package_id text references accounts.package,
    fields jsonb not null,
    service jsonb not null,
    free_minutes integer not null default 0,
    changed_by text not null,
    changed_at timestamptz not null
);
create index product_of_account on accounts.product (account_id, service_id);
create index product_of_package on accounts.product (package_id);
create index product_on_server on accounts.product ((service->>'server_id'), (service->>'tenant'));

-- What the PBX last confirmed for a product, and what could not be done there.
create table accounts.service_state (
    service_id text primary key references accounts.product on delete cascade,
    account_id text not null references accounts.account,
    suspended boolean not null,
    failure text,
    changed_at timestamptz not null
);
create index service_state_of_account on accounts.service_state (account_id);

create table accounts.handled_event (
    event_id uuid primary key,
    handled_at timestamptz not null
);

create table accounts.payment (
    payment_id uuid primary key,
    account_id text not null references accounts.account,
    idempotency_key text not null,
    kind text not null check (kind in ('top-up', 'adjustment')),
    amount_micro bigint not null check (amount_micro <> 0),
    currency text not null,
    reference text not null,
    received_at timestamptz not null,
    received_by text not null,
    unique (account_id, idempotency_key),
    check (kind <> 'top-up' or amount_micro > 0)
);

create table accounts.tariff_version (
    version_id integer generated always as identity primary key,
    tariff_id text not null,
    name text not null,
    currency text not null,
    effective_from timestamptz not null,
    rows integer not null check (rows >= 1),
    sha256 text not null,
    created_at timestamptz not null,
    created_by text not null
);
create index version_of_tariff on accounts.tariff_version (tariff_id, version_id);

-- Prefixes sort by their digits whatever the database's language is: the digest depends on it.
create table accounts.tariff_rate (
    version_id integer not null references accounts.tariff_version,
    prefix text collate "C" not null,
    description text not null,
    rate text not null,
    initial_s integer not null check (initial_s >= 1),
    increment_s integer not null check (increment_s >= 1),
    status smallint not null check (status in (0, 1)),
    primary key (version_id, prefix)
);

create table accounts.outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    key text not null,
    value bytea not null,
    event_id uuid not null,
    time timestamptz not null,
    source text not null,
    subject text not null,
    correlation_id text not null
);

grant select, insert, update, delete
    on accounts.account, accounts.package, accounts.product, accounts.service_state,
       accounts.handled_event, accounts.outbox
    to ringfence_accounts;
-- Money that came in, tariff versions and the record of changes are never altered.
grant select, insert
    on accounts.payment, accounts.account_change, accounts.tariff_version, accounts.tariff_rate
    to ringfence_accounts;
grant usage on all sequences in schema accounts to ringfence_accounts;

-- Rating loads a published version's rows by its id.
grant usage on schema accounts to ringfence_rating;
grant select on accounts.tariff_version, accounts.tariff_rate to ringfence_rating;

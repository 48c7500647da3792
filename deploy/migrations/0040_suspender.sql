-- What the suspender knows of an account, each part with the version that guards it.
create table suspender.account (
    account_id text primary key,
    profile json,
    profile_version int not null default 0,
    balance_micro bigint,
    crossing bigint not null default 0
);

-- Each service: what is wanted of it (`wanted_seq` counts the changes of mind) and what the PBX
-- was read back to say. Work to do is where the two sequences differ.
create table suspender.service (
    account_id text not null,
    service_id text not null,
    server_id text not null,
    kind text not null,
    wanted text not null check (wanted in ('active', 'suspended')),
    wanted_seq bigint not null default 0,
    wanted_at timestamptz not null default now(),
    mode text not null,
    cause_id uuid,
    zero_mail boolean not null default false,
    correlation_id text not null default '',
    confirmed text check (confirmed in ('active', 'suspended')),
    confirmed_seq bigint not null default 0,
    confirmed_at timestamptz,
    evidence text not null default '',
    attempts int not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_error text not null default '',
    failure_told_seq bigint not null default 0,
    primary key (account_id, service_id)
);
create index service_due on suspender.service (server_id, next_attempt_at)
    where wanted_seq > confirmed_seq;

create table suspender.outbox (
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

grant select, insert, update, delete on all tables in schema suspender to ringfence_suspender;
grant usage on all sequences in schema suspender to ringfence_suspender;

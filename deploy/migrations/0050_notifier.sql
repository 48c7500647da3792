-- The notifier's own copy of who a client is and how to reach them.
create table notifier.account (
    account_id text primary key,
    version bigint not null,
    first_name text not null,
    last_name text not null,
    company_name text not null,
    email text not null,
    wants_mail boolean not null,
    low_balance_threshold text not null,
    threshold_micro bigint
);

-- What a mail that is still unsent must be measured against: a zero balance makes a low alert
-- pointless, a restored service a mail that it is off.
create table notifier.level (
    account_id text primary key,
    level text check (level in ('low', 'exhausted')),
    crossing integer,
    zero_crossing integer,
    restored_at timestamptz
);

-- A sender takes a number and holds an advisory lock on it for as long as its session lives.
create sequence notifier.lease as integer cycle;

create table notifier.message (
    message_id uuid primary key,
    account_id text not null,
    template text not null,
    cause_id uuid not null,
    state text not null check (state in (
        'waiting', 'pending', 'sending', 'sent', 'failed', 'skipped', 'in-doubt', 'superseded'
    )),
    recipient text not null,
    subject text not null,
    text_body text not null,
    html_body text not null,
    balance_micro bigint,
    outstanding_micro bigint,
    currency text,
    crossing integer,
    occurred_at timestamptz not null,
    attempts integer not null default 0,
    next_attempt_at timestamptz not null,
    created_at timestamptz not null,
    sent_at timestamptz,
    last_error text not null,
    lease integer,
    correlation_id text not null
);
create index message_due on notifier.message (next_attempt_at) where state = 'pending';
create index message_unsent on notifier.message (account_id) where state in ('waiting', 'pending');
create index message_sending on notifier.message (lease) where state in ('sending', 'in-doubt');
create index message_account on notifier.message (account_id, created_at);

create table notifier.outbox (
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

grant select, insert, update, delete on all tables in schema notifier to ringfence_notifier;
grant usage on all sequences in schema notifier to ringfence_notifier;

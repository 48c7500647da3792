-- A client's own page (ADR 59). A link is signed and in no table. A session that was opened by one is
-- known by the SHA-256 of its 256 random bits.
create table accounts.client_session (
    digest bytea primary key check (length(digest) = 32),
    account_id text not null references accounts.account,
    may_change boolean not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz
);
create index client_session_by_client on accounts.client_session (account_id, created_at);
create index client_session_by_end on accounts.client_session (expires_at);

-- Who was given links by hand, who asked for one by mail, and when all links before were revoked.
create table accounts.client_link_change (
    change_id uuid primary key,
    account_id text not null references accounts.account,
    what text not null check (what in ('issued', 'requested', 'revoked')),
    changed_by text not null,
    changed_at timestamptz not null,
    reason text not null
);
create index client_link_change_newest on accounts.client_link_change (account_id, what, changed_at);
create index client_link_change_by_time on accounts.client_link_change (changed_at);

-- Who asks for a link is found by the address.
create index account_by_address on accounts.account (lower(client ->> 'email'));

grant select, insert, update, delete on accounts.client_session to ringfence_accounts;
grant select, insert, delete on accounts.client_link_change to ringfence_accounts;

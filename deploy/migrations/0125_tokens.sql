-- Operators, and the tokens by which the API knows them (ADR 41). A token's secret is in no table:
-- `digest` is the SHA-256 of it. The tokens of RINGFENCE_ACCOUNTS_TOKENS are not here.
create table accounts.operator (
    name text primary key,
    created_at timestamptz not null,
    created_by text not null
);

-- `servers` null: `operate` concerns all servers. `expires_at` null: valid until it is revoked.
create table accounts.token (
    token_id uuid primary key,
    operator text not null references accounts.operator,
    digest bytea not null unique check (length(digest) = 32),
    scopes text[] not null check (
        cardinality(scopes) > 0 and scopes <@ array['read', 'money', 'operate', 'admin']
    ),
    servers text[],
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text not null default ''
);
create index token_in_use on accounts.token (created_at) where revoked_at is null;
create index token_newest on accounts.token (created_at desc, token_id desc);

-- Who created, rotated and revoked tokens; `before` and `after` as lists show a token.
create table accounts.token_change (
    change_id uuid primary key,
    token_id uuid not null references accounts.token,
    what text not null check (what in ('created', 'rotated', 'revoked')),
    changed_by text not null,
    changed_at timestamptz not null,
    before jsonb,
    after jsonb not null
);
create index token_change_newest on accounts.token_change (changed_at desc, change_id desc);

grant select, insert on accounts.operator, accounts.token_change to ringfence_accounts;
grant select, insert, update on accounts.token to ringfence_accounts;

-- Operators log in (ADR 51), by a password or by a link that an admin gives them. No secret is in a
-- table: of a password its argon2 hash, of sessions and links the SHA-256 of their 256 random bits.

-- An operator without scopes cannot log in: he has tokens alone. `servers` null: all of them.
alter table accounts.operator
    add column scopes text[] not null default '{}'
        check (scopes <@ array['read', 'money', 'operate', 'admin']),
    add column servers text[],
    add column password_hash text check (password_hash like '$argon2id$%'),
    add column enabled boolean not null default true;
create index operator_newest on accounts.operator (created_at desc, name desc);

-- Who created and changed operators, and gave them links; `before` and `after` show the operator.
create table accounts.operator_change (
    change_id uuid primary key,
    operator text not null references accounts.operator,
    what text not null check (
        what in ('created', 'changed', 'password', 'disabled', 'enabled', 'link')
    ),
    changed_by text not null,
    changed_at timestamptz not null,
    before jsonb,
    after jsonb not null
);
create index operator_change_newest on accounts.operator_change (changed_at desc, change_id desc);

-- A session allows what its operator may do now. `used_at` is written every 5 minutes of use.
create table accounts.session (
    session_id uuid primary key,
    operator text not null references accounts.operator,
    digest bytea not null unique check (length(digest) = 32),
    login text not null check (login in ('password', 'link')),
    created_at timestamptz not null,
    used_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz
);
create index session_by_end on accounts.session (expires_at);

create table accounts.login_link (
    link_id uuid primary key,
    operator text not null references accounts.operator,
    digest bytea not null unique check (length(digest) = 32),
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index login_link_by_end on accounts.login_link (expires_at);

grant update on accounts.operator to ringfence_accounts;
grant select, insert on accounts.operator_change to ringfence_accounts;
grant select, insert, update, delete on accounts.session, accounts.login_link to ringfence_accounts;

-- Files of carriers that were uploaded and are not a version yet: looked at, mapped and compared as often
-- as a person needs, without being sent again (ADR 57).
create table accounts.uploaded_deck (
    deck_id uuid primary key,
    tariff_id text not null,
    file_name text not null,
    bytes bigint not null check (bytes > 0),
    uploaded_by text not null,
    uploaded_at timestamptz not null
);
create index uploaded_deck_at on accounts.uploaded_deck (uploaded_at);

create table accounts.uploaded_deck_piece (
    deck_id uuid not null references accounts.uploaded_deck on delete cascade,
    number int not null,
    content bytea not null,
    primary key (deck_id, number)
);
grant select, insert, delete on accounts.uploaded_deck to ringfence_accounts;
grant select, insert, delete on accounts.uploaded_deck_piece to ringfence_accounts;

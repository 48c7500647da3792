-- All that an import needs to read a carrier's next file: by tariff, and by a name that several
-- tariffs share. `layout` is the name whose layout a tariff's files have.

create table accounts.deck_layout (
    name text primary key,
    columns jsonb not null,
    settings jsonb not null,
    changed_by text not null,
    changed_at timestamptz not null
);
grant select, insert, update, delete on accounts.deck_layout to ringfence_accounts;

alter table accounts.tariff_mapping
    add column settings jsonb not null default '{}',
    add column layout text;

-- Status 2: blocked. No call is priced by such a row, and none by a shorter prefix instead.
-- not additive: ADR 0050 (a wider check: rows that were allowed before are allowed)
alter table accounts.tariff_rate
    drop constraint tariff_rate_status_check,
    add constraint tariff_rate_status_check check (status in (0, 1, 2)) not valid;

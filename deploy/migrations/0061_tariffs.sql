-- What a tariff's files call their columns, remembered from one import to the next; and what a
-- file says beside the rates, which nothing is computed from.

create table accounts.tariff_mapping (
    tariff_id text primary key,
    columns jsonb not null,
    changed_by text not null,
    changed_at timestamptz not null
);
grant select, insert, update, delete on accounts.tariff_mapping to ringfence_accounts;

alter table accounts.tariff_version
    add column restores integer references accounts.tariff_version;
create index version_in_force on accounts.tariff_version (tariff_id, effective_from, version_id);

-- `until`: when another version takes over. Of two from the same instant on, the later one counts.
create view accounts.tariff_time as
select version_id, tariff_id, name, currency, effective_from,
       lead(effective_from) over (
           partition by tariff_id order by effective_from, version_id
       ) as until,
       rows, sha256, created_at, created_by, restores
from accounts.tariff_version;
grant select on accounts.tariff_time to ringfence_accounts;

alter table accounts.tariff_rate
    add column short_description text,
    add column last_rate_change text,
    add column old_rate text,
    add column rate_premium text;

-- A file is read into a temporary table before anything of it takes effect.
do $$
begin
    execute format('grant temporary on database %I to ringfence_accounts', current_database());
end
$$;

-- Who came by an import keeps the calls in progress when a product is switched off, unless a person
-- says otherwise.
alter table accounts.account add column imported boolean not null default false;
update accounts.account set imported = true where profile ->> 'voip_suspended_by' = 'import';

-- The calls that were ended when a product was switched off last, as the suspender named them.
alter table accounts.service_state add column ended_calls text[] not null default '{}';

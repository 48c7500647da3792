-- What each product names for switching: an element is a gateway, an extension (itself, or its
-- right to call out), a domain, a peer. `element` '*': the rest of the tenant. The way `listed` names
-- nothing: it says that an extension belongs to a product, so that it is not the rest.
create table suspender.named_element (
    account_id text not null,
    service_id text not null,
    server_id text not null,
    way text not null
        check (way in ('gateway', 'extensions', 'domain', 'outbound', 'peer', 'listed')),
    tenant text not null default '',
    element text not null,
    primary key (account_id, service_id, server_id, way, tenant, element)
);
create index named_element_of on suspender.named_element (server_id, way, tenant, element);

-- What we switched off, with its state before: written before the first toggle of a hold, never
-- overwritten, removed when its release is confirmed. Restoring switches on exactly this.
-- `was_on` false: it was off before, and is no concern of ours. `value`: what was stored in place of
-- a flag (toll_allow). `confirmed_at`: when the PBX was last read back to say that it is off; null:
-- it has still to be switched off. `released`: an operator wants it on though the hold lasts.
-- The four columns before it are about work that no service waits for.
create table suspender.switched_off (
    server_id text not null,
    way text not null check (way in ('gateway', 'extensions', 'domain', 'outbound', 'peer')),
    tenant text not null default '',
    element text not null,
    account_id text not null,
    service_id text not null,
    was_on boolean not null,
    value text not null default '',
    adopted boolean not null default false,
    recorded_at timestamptz not null,
    confirmed_at timestamptz,
    attempts int not null default 0,
    next_attempt_at timestamptz not null default now(),
    last_error text not null default '',
    failure_told boolean not null default false,
    released boolean not null default false,
    primary key (server_id, way, tenant, element)
);
create index switched_off_of on suspender.switched_off (account_id, service_id);

-- `departed`: the account has the product no more; decided as before by what it last was
-- (`product`), until all is released. The row stays: its sequence goes on if the product returns.
-- `elements_changed`: what it names for switching changed since it was last to be off.
-- `release_version`: when this version of the profile comes, what left the product is released at
-- once (0: nothing is asked). `adopts`: what is off at its first turn was switched off by us.
-- `proven`: the confirmation is read back.
alter table suspender.service
    add column departed boolean not null default false,
    add column product json,
    add column elements_changed boolean not null default false,
    add column release_version int not null default 0,
    add column adopts boolean not null default false,
    add column proven boolean not null default true,
    add column ended_calls text[] not null default '{}';
update suspender.service s set
    product = p.value,
    adopts = s.confirmed is null and a.profile #>> '{profile,voip_suspended}' = 'Yes'
        and a.profile #>> '{profile,voip_suspended_by}' = 'import'
from suspender.account a, json_array_elements(a.profile -> 'services') as p
where a.account_id = s.account_id and p.value ->> 'service_id' = s.service_id;

-- A server is left alone for maintenance until `paused_until` (null: until it is resumed).
create table suspender.server_pause (
    server_id text primary key,
    paused_at timestamptz not null,
    paused_until timestamptz,
    paused_by text not null,
    reason text not null default ''
);
grant select, insert, update, delete
    on suspender.named_element, suspender.switched_off, suspender.server_pause
    to ringfence_suspender;

-- Installations from before: their products name what they always did, and whatever was switched
-- off, or was about to be switched on, was ours.
insert into suspender.named_element (account_id, service_id, server_id, way, tenant, element)
select s.account_id, s.service_id, s.server_id, e.way, e.tenant, e.element
from suspender.service s
cross join lateral (
    select 'peer' as way, '' as tenant, upper(s.product ->> 'tenant') as element
    where s.kind = 'lesnet'
    union
    select 'domain', lower(s.product ->> 'tenant'), lower(s.product ->> 'tenant')
    where s.kind <> 'lesnet' and s.product ->> 'suspend_by' = 'domain'
    union
    select 'extensions', lower(s.product ->> 'tenant'), listed.value
    from json_array_elements_text(s.product -> 'extensions') as listed
    where s.kind <> 'lesnet' and coalesce(s.product ->> 'suspend_by', 'extensions') = 'extensions'
    union
    select 'gateway', case s.kind when 'vodia' then lower(s.product ->> 'tenant') else '' end,
        lower(listed.value)
    from json_array_elements_text(s.product -> 'gateway_ids') as listed
    where s.kind <> 'lesnet' and s.product ->> 'suspend_by' = 'gateway'
    union
    select 'listed', lower(s.product ->> 'tenant'), listed.value
    from json_array_elements_text(s.product -> 'extensions') as listed where s.kind <> 'lesnet'
) as e
where s.product is not null;
insert into suspender.switched_off
    (server_id, way, tenant, element, account_id, service_id, was_on, recorded_at, confirmed_at)
select n.server_id, n.way, n.tenant, n.element, s.account_id, s.service_id, true,
    coalesce(s.confirmed_at, s.wanted_at),
    case when s.confirmed = 'suspended' then coalesce(s.confirmed_at, s.wanted_at) end
from suspender.service s
join suspender.named_element n using (account_id, service_id)
where n.way <> 'listed' and (s.confirmed = 'suspended' or s.wanted_seq > s.confirmed_seq)
order by s.wanted_at
on conflict do nothing;

create or replace view report.service_state as
select
    service_id, account_id, server_id, wanted, mode, confirmed,
    (wanted_seq > confirmed_seq) as open, coalesce(confirmed_at, wanted_at) as since,
    evidence, last_error, attempts, next_attempt_at,
    would, holds, client_wide, live, kind, proven, departed
from suspender.service
where not departed or wanted_seq > confirmed_seq or exists (
    select from suspender.switched_off o
    where o.account_id = service.account_id and o.service_id = service.service_id
);

create view report.switched_off as
select o.server_id, o.way, o.tenant, o.element, o.account_id, o.service_id, o.was_on, o.value,
    o.adopted, o.recorded_at, o.confirmed_at, o.attempts, o.last_error,
    not exists (
        select from suspender.named_element n
        where (n.server_id, n.way, n.tenant, n.element) = (o.server_id, o.way, o.tenant, o.element)
    ) as left_behind
from suspender.switched_off o;

create view report.server_pause as select * from suspender.server_pause;
create view report.named_element as
select * from suspender.named_element where way <> 'listed';
grant select on report.switched_off, report.server_pause, report.named_element to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch, ringfence_suspender,
    ringfence_notifier, ringfence_accounts;

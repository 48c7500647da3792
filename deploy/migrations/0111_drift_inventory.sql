-- What each server was last read to have; replaced as a whole at every read that succeeds.
create table suspender.inventory (
    server_id text not null,
    kind text not null check (kind in ('tenant', 'extension', 'gateway', 'did')),
    tenant text not null,
    name text not null,
    uuid text not null default '',
    label text not null default '',
    enabled boolean,
    leads_to text not null default '',
    read_at timestamptz not null,
    tenant_key text generated always as (lower(tenant)) stored,
    name_key text generated always as (lower(name)) stored,
    uuid_key text generated always as (lower(uuid)) stored,
    primary key (server_id, kind, tenant, name, uuid)
);
create index inventory_off on suspender.inventory (server_id) where not enabled;

-- When each server is read. `asked_at`: when the last read that ended was begun; `error` is what came
-- of it, '' if it succeeded, and `failures` counts those in a row. `read_at`: when the last one that
-- succeeded ended. `begun_at`: when the last one began, ended or not. `requested_at`: an operator
-- asked for a read; one that is asked for during a read follows it.
create table suspender.inventory_read (
    server_id text primary key,
    begun_at timestamptz,
    asked_at timestamptz,
    read_at timestamptz,
    requested_at timestamptz,
    next_at timestamptz not null,
    gaps text[] not null default '{}',
    tests_toll_allow boolean,
    error text not null default '',
    failures int not null default 0
);

-- Elements that we switched off and that were found on. `drifting`: on, by the last look. `repairs`:
-- when each was handed to the worker to be switched off again, within the last hour. `given_up`: the
-- last time it was found, it had been switched off again too often. `call`: the call that gave it
-- away, in words.
create table suspender.drift (
    server_id text not null,
    way text not null check (way in ('gateway', 'extensions', 'domain', 'outbound', 'peer')),
    tenant text not null default '',
    element text not null,
    account_id text not null,
    service_id text not null,
    drifting boolean not null,
    found_at timestamptz not null,
    seen_at timestamptz not null,
    repairs timestamptz[] not null default '{}',
    given_up boolean not null default false,
    call text not null default '',
    primary key (server_id, way, tenant, element)
);

-- When each server is looked at for drift, and what came of the last look ('': it answered).
create table suspender.drift_look (
    server_id text primary key,
    looked_at timestamptz,
    next_at timestamptz not null,
    error text not null default ''
);
-- Of each account with a service that is off: up to which version of its balance its calls were
-- looked at.
create table suspender.drift_balance (
    account_id text primary key,
    version bigint not null
);

grant select, insert, update, delete
    on suspender.inventory, suspender.inventory_read, suspender.drift, suspender.drift_look,
    suspender.drift_balance
    to ringfence_suspender;

-- The elements as which a thing on a server can be named for switching. The right to call out
-- (`outbound`) is no thing of its own: no inventory shows it.
create view suspender.inventory_element as
select server_id, 'extensions' as way, tenant_key as tenant, name as element,
    kind, tenant as item_tenant, name, uuid, label, enabled, read_at
from suspender.inventory where kind = 'extension'
union all
select server_id, 'domain', name_key, name_key,
    kind, tenant, name, uuid, label, enabled, read_at
from suspender.inventory where kind = 'tenant'
union all
select server_id, 'gateway', scope, uuid_key,
    kind, tenant, name, uuid, label, enabled, read_at
from suspender.inventory
cross join lateral (select '' as scope union select tenant_key) as scopes
where kind = 'gateway' and uuid <> ''
union all
select server_id, 'peer', '', upper(coalesce(nullif(uuid, ''), name)),
    kind, tenant, name, uuid, label, enabled, read_at
from suspender.inventory where kind in ('tenant', 'gateway');

create view report.inventory as
select server_id, kind, tenant, name, uuid, label, enabled, leads_to, read_at
from suspender.inventory;

create view report.inventory_read as
select server_id, asked_at, read_at, gaps, error, tests_toll_allow
from suspender.inventory_read;

-- What is off on the servers and would be taken as switched off by us when its client, who was off
-- when he was imported, goes live.
create view report.adoptable as
select n.account_id, n.service_id, n.server_id, n.way, n.tenant, i.element, i.name, i.label,
    i.enabled, i.uuid, i.read_at
from suspender.account a
join suspender.named_element n using (account_id)
join suspender.inventory_element i
    on i.server_id = n.server_id and i.way = n.way and i.tenant = n.tenant and not i.enabled
where a.profile -> 'profile' ->> 'voip_suspended' = 'Yes'
    and a.profile -> 'profile' ->> 'voip_suspended_by' = 'import'
    and (
        i.element = n.element
        or n.element = '*' and not exists (
            -- The rest of a tenant is what no product lists, whatever its way.
            select from suspender.named_element listed
            where listed.server_id = n.server_id and listed.tenant = n.tenant
                and listed.way in ('listed', 'extensions', 'outbound')
                and listed.element = i.element
        )
    )
    and not exists (
        select from suspender.switched_off o
        where (o.server_id, o.way, o.tenant, o.element) = (i.server_id, i.way, i.tenant, i.element)
    );

-- What is off on the servers and was not switched off by us: shown, never touched. A DID is none
-- of what we switch.
create view report.off_by_others as
select i.server_id, i.kind, i.tenant, i.name, i.uuid, i.label, i.read_at
from suspender.inventory i
where not i.enabled and i.kind <> 'did'
    and not exists (
        select from suspender.switched_off o
        where o.was_on and o.server_id = i.server_id
            and o.way = case i.kind when 'extension' then 'extensions' when 'tenant' then 'domain' end
            and o.tenant = case i.kind when 'tenant' then i.name_key else i.tenant_key end
            and o.element = case i.kind when 'tenant' then i.name_key else i.name end
    )
    and not exists (
        select from suspender.switched_off o
        where o.was_on and o.server_id = i.server_id and i.kind = 'gateway' and o.way = 'gateway'
            and o.element = i.uuid_key and o.tenant in ('', i.tenant_key)
    )
    and not exists (
        select from suspender.switched_off o
        where o.was_on and o.server_id = i.server_id and i.kind in ('tenant', 'gateway')
            and o.way = 'peer' and o.element = upper(coalesce(nullif(i.uuid, ''), i.name))
    );

create view report.drift as
select server_id, way, tenant, element, account_id, service_id, found_at, seen_at,
    cardinality(repairs) as repairs, given_up, call
from suspender.drift where drifting;

create view report.drift_look as
select server_id, looked_at, next_at, error from suspender.drift_look;

grant select on report.inventory, report.inventory_read, report.adoptable, report.off_by_others,
    report.drift, report.drift_look to ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

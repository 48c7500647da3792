-- The ranges of extensions that products own. `way` is that of the product, whichever it is: an
-- extension in a range is no part of the rest of its tenant. `first` and `last` have as many digits.
create table suspender.named_range (
    account_id text not null,
    service_id text not null,
    server_id text not null,
    way text not null,
    tenant text not null,
    first text collate "C" not null,
    last text collate "C" not null,
    primary key (account_id, service_id, server_id, way, tenant, first, last)
);
create index named_range_of on suspender.named_range (server_id, tenant);
grant select, insert, update, delete on suspender.named_range to ringfence_suspender;

-- As before (0111), with ranges: an extension that a product lists is no part of another's range, and
-- one in a range is no part of the rest of its tenant.
create or replace view report.adoptable as
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
        or (
            n.element = '*' and not exists (
                select from suspender.named_range r
                where r.server_id = n.server_id and r.tenant = n.tenant
                    and length(r.first) = length(i.element)
                    and i.element collate "C" between r.first and r.last
            )
            or exists (
                select from suspender.named_range r
                where (r.account_id, r.service_id, r.server_id, r.way, r.tenant)
                    = (n.account_id, n.service_id, n.server_id, n.way, n.tenant)
                    and r.first || '-' || r.last = n.element
                    and length(r.first) = length(i.element)
                    and i.element collate "C" between r.first and r.last
            )
        ) and not exists (
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

-- Calls with talk time that wait because no product, or several, claim them, by the extension that
-- called or the DID that was called. `ringfence doctor` lists them.
create view report.call_without_product as
select server_id, tenant, name, count(*) as calls, sum(billsec)::bigint as talk_s,
    max(started_at) as last_at
from (
    select server_id, tenant, billsec, started_at,
        case when call::json ->> 'direction' = 'inbound' then coalesce(
            nullif(call::json ->> 'caller_destination', ''), call::json ->> 'destination_number')
        else coalesce(
            nullif(call::json ->> 'extension', ''), call::json ->> 'caller_number') end as name
    from rating.unrated
    where reason in ('unknown-product', 'ambiguous-product') and billsec > 0 and not is_row
) as waiting
group by server_id, tenant, name;
grant select on report.call_without_product to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

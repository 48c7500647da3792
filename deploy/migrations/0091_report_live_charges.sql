-- A call that was re-rated is shown once: by the charge that is live.
create or replace view report.call as
select
    cause_id as call_id, account_id, explanation::json ->> 'service_id' as service_id,
    'rated'::text as outcome, ''::text as reason, false as hidden,
    -amount_micro as cost_micro, explanation::json ->> 'direction' as direction,
    explanation::json ->> 'number' as number, (explanation::json ->> 'billsec')::int as billsec,
    (explanation::json ->> 'started_at')::timestamptz as started_at,
    explanation::json as explanation
from rating.ledger l
where kind = 'charge'
    and not exists (select from rating.ledger r where r.reverses = l.entry_id)
union all
select
    call_id, account_id, service_id, 'not-billed', reason, hidden, 0,
    detail::json ->> 'direction', detail::json ->> 'number', (detail::json ->> 'billsec')::int,
    started_at, detail::json
from rating.not_billed;

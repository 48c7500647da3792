-- The invariants I10 and I11, as views that are empty when all is well; what is on its way between
-- two services is in them for a moment (ringfence verify and the audit look twice).

-- I10: the top-ups and adjustments of the ledger are the payments of accounts, with the same
-- content. `settled`: an account's count of them is not the number of its entries.
create view rating.drift_i10 as
with posted as (
    select l.entry_id as payment_id, l.account_id, l.kind, l.amount_micro, a.currency
    from rating.ledger l join rating.account a using (account_id)
    where l.kind in ('top-up', 'adjustment')
)
select
    case
        when p.payment_id is null then 'not-in-accounts'
        when l.payment_id is null then 'not-posted'
        else 'differs'
    end as problem,
    payment_id, coalesce(p.account_id, l.account_id) as account_id,
    l.account_id as posted_account_id, l.kind as posted_kind, l.amount_micro as posted_micro,
    l.currency as posted_currency, p.kind, p.amount_micro, p.currency,
    exists (select from rating.unclaimed u where u.payment_id = p.payment_id) as unclaimed,
    null::bigint as settled, null::bigint as payments
from posted l full join report.payment p using (payment_id)
where (l.account_id, l.kind, l.amount_micro, l.currency)
    is distinct from (p.account_id, p.kind, p.amount_micro, p.currency)
union all
select
    'settled', null, a.account_id, null, null, null, null, null, null, null, false,
    a.settled, coalesce(l.payments, 0)
from rating.account a
left join (
    select account_id, count(*) as payments from posted group by account_id
) as l using (account_id)
where a.settled <> coalesce(l.payments, 0);

-- The rule of the funds hold, written here once more: what is verified is not asked how it decides.
create function rating.funds_class(
    balance_micro bigint, outstanding_micro bigint, credit_limit_micro bigint
) returns text language sql immutable parallel safe as $$
    select case
        when balance_micro <= -credit_limit_micro then 'spent'
        when outstanding_micro <= 0 then 'free'
        when outstanding_micro > balance_micro then 'spent'
        else 'between'
    end
$$;
create function rating.held_after(
    before boolean, balance_micro bigint, outstanding_micro bigint, credit_limit_micro bigint,
    together boolean
) returns boolean language sql immutable parallel safe as $$
    select case
        when balance_micro <= -credit_limit_micro then true
        when not together then before
        else case rating.funds_class(balance_micro, outstanding_micro, credit_limit_micro)
            when 'spent' then true when 'free' then false else before
        end
    end
$$;

-- I11, on each account's own record: `found` is what is, `expected` what the rule says.
-- `class` and `pair`: a recorded pair of credit and debts, its class and the hold after it.
-- `last-pair`: the account is not as its last pair left it. `account`: the hold does not follow from
-- what balance-watch knows. `level`: the level does not follow from the hold.
create view rating.drift_i11_pairs as
with pair as (
    select
        account_id, number, funds, held, balance_version, balance_micro, outstanding_micro,
        credit_limit_micro, coalesce(settled >= accepted, true) as together,
        -- The first pair of an installation from before says what was taken over.
        case when number = 1 and cause_id is null then held
            else lag(held, 1, false) over history or imported end as before,
        row_number() over (partition by account_id order by number desc) = 1 as is_last
    from report.funds_pair
    window history as (partition by account_id order by number)
),
held as (
    select
        account_id, level, held, funds, balance_version, balance_micro, outstanding_micro,
        credit_limit_micro,
        case when balance_version = 0 then held
            else rating.held_after(held, balance_micro, outstanding_micro, credit_limit_micro,
                coalesce(settled >= accepted, true)) end as expected
    from report.level
),
found as (
    select account_id, 'class' as rule, number, funds as found,
        rating.funds_class(balance_micro, outstanding_micro, credit_limit_micro) as expected,
        balance_micro, outstanding_micro, credit_limit_micro
    from pair where balance_version > 0
    union all
    select account_id, 'pair', number, held::text,
        case when balance_version = 0 then before
            else rating.held_after(before, balance_micro, outstanding_micro, credit_limit_micro,
                together) end::text,
        balance_micro, outstanding_micro, credit_limit_micro
    from pair
    union all
    select h.account_id, 'last-pair', p.number, concat_ws(' ', h.held, h.funds),
        concat_ws(' ', coalesce(p.held, false), p.funds),
        h.balance_micro, h.outstanding_micro, h.credit_limit_micro
    from held h left join pair p on p.account_id = h.account_id and p.is_last
    union all
    select account_id, 'account', null, held::text, expected::text,
        balance_micro, outstanding_micro, credit_limit_micro
    from held
    union all
    select account_id, 'level', null, (level = 'exhausted')::text, held::text,
        balance_micro, outstanding_micro, credit_limit_micro
    from held where level is not null
)
select account_id, rule, null::text as service_id, number, found, expected, balance_micro,
    outstanding_micro, credit_limit_micro
from found where found is distinct from expected;

-- I11, between services. `owners`: the hold does not follow from the balance of rating and the debts
-- of accounts, where balance-watch is as new as both. `suspender`: it holds otherwise than
-- balance-watch. `desired`: what a live service is to be does not follow from its holds. `funds`:
-- the hold does not hold the service that it should, or one that it should not.
create view rating.drift_i11_services as
with owners as (
    select w.account_id, w.held, b.balance_micro, a.outstanding_micro, a.credit_limit_micro,
        rating.held_after(w.held, b.balance_micro, a.outstanding_micro, a.credit_limit_micro,
            b.settled >= w.accepted) as expected
    from report.level w
    join report.balance b on b.account_id = w.account_id and b.version = w.balance_version
    join report.account a on a.account_id = w.account_id and a.version = w.profile_version
    where b.version > 0
),
funds as (
    select s.account_id, s.service_id, 'funds' = any(s.holds) as found,
        h.held and (h.hold = 0 or h.hold <> h.undone_hold)
            and coalesce((product.value ->> 'prepaid')::boolean, true)
            and not exists (
                select from json_array_elements(
                    case json_typeof(p.profile -> 'orders') when 'array' then p.profile -> 'orders'
                        else '[]' end
                ) as given
                where given.value ->> 'kind' = 'exemption'
                    and coalesce(given.value ->> 'service_id', s.service_id) = s.service_id
                    and coalesce((given.value ->> 'until')::timestamptz, 'infinity') > now()
            )
            -- Records from before orders were published: the two fields gave the exemption.
            and not (
                coalesce(json_typeof(p.profile -> 'orders'), 'null') = 'null'
                and p.profile -> 'profile' ->> 'manual_voip_suspend' = 'No'
                and p.profile -> 'profile' ->> 'voip_suspended' = 'No'
            ) as expected
    from report.service_state s
    join report.hold h on h.account_id = s.account_id
    join rating.profile p
        on p.account_id = s.account_id and p.version = h.profile_version
    cross join json_array_elements(p.profile -> 'services') as product
    where product.value ->> 'service_id' = s.service_id
)
select account_id, 'owners' as rule, null::text as service_id, null::bigint as number,
    held::text as found, expected::text as expected, balance_micro, outstanding_micro,
    credit_limit_micro
from owners where held <> expected
union all
select w.account_id, 'suspender', null, w.hold, h.held::text, w.held::text, w.balance_micro,
    w.outstanding_micro, w.credit_limit_micro
from report.level w join report.hold h using (account_id) where h.held <> w.held
union all
select s.account_id, 'desired', s.service_id, null, s.would,
    case when cardinality(s.holds) > 0 then 'suspended' else 'active' end, null, null, null
from report.service_state s
where s.live and s.would <> 'leave'
    and s.would <> case when cardinality(s.holds) > 0 then 'suspended' else 'active' end
union all
select account_id, 'funds', service_id, null, found::text, expected::text, null, null, null
from funds where found <> expected;

create view rating.drift_i11 as
select * from rating.drift_i11_pairs union all select * from rating.drift_i11_services;

grant select on rating.drift_i10, rating.drift_i11 to ringfence_rating;

-- Anti-entropy (ADR 39): each owner compares what it holds with what the readers of its topics hold.
-- One set of four tables for each owner.
-- `comparison`: how far a topic was compared with a reader (`pair`: `<topic>/<reader>`), when it was
-- last compared in full, and the last instant at which the reader is known to have looked.
-- `missing_copy`: what a reader lacked at the last look. It is published again from the second look
-- on, `attempts` times so far, not before `next_at`.
-- `look`: when the service last looked. An older instant than that of its newest records on Kafka
-- says that the service itself was restored.
-- `look_start`: its starts, each with the last look that it found (`looked_before`). A start that
-- found an older look than others had seen says that the service was restored to that look.
create table accounts.comparison (
    pair text primary key,
    compared_until timestamptz not null default 'epoch',
    full_at timestamptz,
    reader_looked_at timestamptz
);
create table accounts.missing_copy (
    pair text not null,
    key text not null,
    version bigint not null,
    seen_at timestamptz not null,
    attempts integer not null default 0,
    next_at timestamptz not null,
    primary key (pair, key)
);
create table accounts.look (
    one integer primary key default 1 check (one = 1),
    looked_at timestamptz not null
);
create table accounts.look_start (
    started_at timestamptz primary key,
    looked_before timestamptz not null
);
create table rating.comparison (like accounts.comparison including all);
create table rating.missing_copy (like accounts.missing_copy including all);
create table rating.look (like accounts.look including all);
create table rating.look_start (like accounts.look_start including all);
create table balance_watch.comparison (like accounts.comparison including all);
create table balance_watch.missing_copy (like accounts.missing_copy including all);
create table balance_watch.look (like accounts.look including all);
create table balance_watch.look_start (like accounts.look_start including all);
create table suspender.comparison (like accounts.comparison including all);
create table suspender.missing_copy (like accounts.missing_copy including all);
create table suspender.look (like accounts.look including all);
create table suspender.look_start (like accounts.look_start including all);
create table cdr_ingest.comparison (like accounts.comparison including all);
create table cdr_ingest.missing_copy (like accounts.missing_copy including all);
create table cdr_ingest.look (like accounts.look including all);
create table cdr_ingest.look_start (like accounts.look_start including all);
create table notifier.look (like accounts.look including all);
create table notifier.look_start (like accounts.look_start including all);
grant select, insert, update, delete
    on accounts.comparison, accounts.missing_copy, accounts.look, accounts.look_start
    to ringfence_accounts;
grant select, insert, update, delete
    on rating.comparison, rating.missing_copy, rating.look, rating.look_start to ringfence_rating;
grant select, insert, update, delete
    on balance_watch.comparison, balance_watch.missing_copy, balance_watch.look,
        balance_watch.look_start
    to ringfence_balance_watch;
grant select, insert, update, delete
    on suspender.comparison, suspender.missing_copy, suspender.look, suspender.look_start
    to ringfence_suspender;
grant select, insert, update, delete
    on cdr_ingest.comparison, cdr_ingest.missing_copy, cdr_ingest.look, cdr_ingest.look_start
    to ringfence_cdr_ingest;
grant select, insert, update, delete on notifier.look, notifier.look_start to ringfence_notifier;

-- Owners that raised no alarms before.
create table if not exists accounts.alarm (like rating.alarm including all);
create table if not exists balance_watch.alarm (like rating.alarm including all);
create table cdr_ingest.alarm (like rating.alarm including all);
grant select, insert, update on accounts.alarm to ringfence_accounts;
grant select, insert, update on balance_watch.alarm to ringfence_balance_watch;
grant select, insert, update on cdr_ingest.alarm to ringfence_cdr_ingest;

create or replace view report.alarm as
select 'rating'::text as service, * from rating.alarm
union all
select 'suspender'::text, * from suspender.alarm
union all
select 'notifier'::text, * from notifier.alarm
union all
select 'accounts'::text, * from accounts.alarm
union all
select 'balance-watch'::text, * from balance_watch.alarm
union all
select 'cdr-ingest'::text, * from cdr_ingest.alarm;

-- By what the looks find rows that are new, and the number of a crossing as it was published.
create index account_changed_at on accounts.account (changed_at);
create index payment_received on accounts.payment (received_at);
create index record_accepted on cdr_ingest.record using brin (accepted_at);
create function balance_watch.crossing_number(value bytea) returns bigint
language sql immutable parallel safe as $$
    select coalesce(substring(encode(value, 'escape') from '"crossing": *([0-9]{1,18})')::bigint, 0)
$$;
create index crossing_number
    on balance_watch.crossing (account_id, balance_watch.crossing_number(value));

-- The calls as they were published, for as long as one may have to be published again.
create table cdr_ingest.published_call (
    record_id uuid primary key,
    value bytea not null,
    published_at timestamptz not null default now()
);
create index published_call_at on cdr_ingest.published_call using brin (published_at);
grant select, insert, delete on cdr_ingest.published_call to ringfence_cdr_ingest;

-- Versions of accounts that were not posted: an owner that was restored continues above the number
-- that its readers have (I1 counts them).
create table rating.version_gap (
    account_id text not null,
    after_version bigint not null,
    versions bigint not null check (versions > 0),
    at timestamptz not null default now(),
    primary key (account_id, after_version)
);
grant select, insert on rating.version_gap to ringfence_rating;

create or replace view rating.drift_i1 as
select
    a.account_id, a.balance_micro, coalesce(l.total_micro, 0) as ledger_micro, a.version,
    coalesce(l.entries, 0) as entries, coalesce(l.broken, 0) as broken_links
from rating.account a
left join (
    select
        account_id, sum(amount_micro) as total_micro, count(*) as entries,
        max(version) as last_version,
        count(*) filter (where balance_after_micro <> before_micro + amount_micro) as broken
    from (
        select
            account_id, version, amount_micro, balance_after_micro,
            lag(balance_after_micro, 1, 0::bigint)
                over (partition by account_id order by version) as before_micro
        from rating.ledger
    ) as chained
    group by account_id
) as l using (account_id)
left join (
    select account_id, sum(versions)::bigint as versions, max(after_version + versions) as last
    from rating.version_gap group by account_id
) as g using (account_id)
where a.balance_micro <> coalesce(l.total_micro, 0)
    or a.version <> coalesce(l.entries, 0) + coalesce(g.versions, 0)
    or greatest(coalesce(l.last_version, 0), coalesce(g.last, 0)) <> a.version
    or coalesce(l.broken, 0) > 0;

-- What each reader holds, by reader; and what the owners hold, where no view had it.
create view report.profile_copy as
select 'rating'::text as reader, account_id, version::bigint as version from rating.profile
union all
select 'balance-watch'::text, account_id, profile_version::bigint from balance_watch.account
union all
select 'suspender'::text, account_id, profile_version::bigint from suspender.account
union all
select 'notifier'::text, account_id, version from notifier.account;

create view report.crossing_copy as
select 'suspender'::text as reader, account_id, crossing, held, hold, 0::bigint as stay
from suspender.account
union all
select 'notifier'::text, account_id, coalesce(crossing, 0), level is not distinct from 'exhausted',
    greatest(hold, hold_ended),
    coalesce((
        select max(m.number) from notifier.message m
        where m.account_id = level.account_id and m.kind = 'low' and m.number is not null
            and not m.shadow
    ), 0)
from notifier.level;

create view report.last_crossing as
select account_id, max(balance_watch.crossing_number(value)) as crossing,
    coalesce(max(balance_watch.crossing_number(value))
        filter (where topic <> 'balance.low.v1'), 0) as switching
from balance_watch.crossing group by account_id;

create view report.service_copy as
select service_id, account_id, suspended, failure, changed_at from accounts.service_state;

create view report.tariff_version as
select version_id, tariff_id, currency, effective_from, rows, created_at from accounts.tariff_version;
create view report.tariff_copy as select version_id from rating.tariff;

-- Where a call is that was not charged; a charge is found in the ledger by the id of its entry.
create view report.call_place as
select call_id, 'not-billed'::text as place from rating.not_billed
union all
select call_id, 'unrated'::text from rating.unrated
union all
select call_id, 'dead'::text from rating.dead_call;

create view report.look as
select 'accounts'::text as service, looked_at from accounts.look
union all
select 'rating'::text, looked_at from rating.look
union all
select 'balance-watch'::text, looked_at from balance_watch.look
union all
select 'suspender'::text, looked_at from suspender.look
union all
select 'notifier'::text, looked_at from notifier.look
union all
select 'cdr-ingest'::text, looked_at from cdr_ingest.look;

create view report.look_start as
select 'accounts'::text as service, started_at, looked_before from accounts.look_start
union all
select 'rating'::text, started_at, looked_before from rating.look_start
union all
select 'balance-watch'::text, started_at, looked_before from balance_watch.look_start
union all
select 'suspender'::text, started_at, looked_before from suspender.look_start
union all
select 'notifier'::text, started_at, looked_before from notifier.look_start
union all
select 'cdr-ingest'::text, started_at, looked_before from cdr_ingest.look_start;

create view report.missing_copy as
select 'accounts'::text as service, * from accounts.missing_copy
union all
select 'rating'::text, * from rating.missing_copy
union all
select 'balance-watch'::text, * from balance_watch.missing_copy
union all
select 'suspender'::text, * from suspender.missing_copy
union all
select 'cdr-ingest'::text, * from cdr_ingest.missing_copy;

-- I12: a reader's copy is older than its owner's record, or newer. What is on its way is in here for
-- a moment. Payments are I10, calls I3.
create view rating.drift_i12 as
select 'account.changed.v1'::text as topic, c.reader, a.account_id as key, a.version,
    coalesce(p.version, 0) as copied
from report.account a
cross join (values ('rating'), ('balance-watch'), ('suspender'), ('notifier')) as c (reader)
left join report.profile_copy p on p.reader = c.reader and p.account_id = a.account_id
where a.version <> coalesce(p.version, 0)
union all
select 'account.changed.v1', p.reader, p.account_id, 0, p.version
from report.profile_copy p
where p.version > 0 and not exists (
    select from report.account a where a.account_id = p.account_id
)
union all
select 'balance.changed.v1', 'balance-watch', b.account_id, b.version,
    coalesce(w.balance_version, 0)
from report.balance b left join report.level w using (account_id)
where b.version <> coalesce(w.balance_version, 0)
    or b.version > 0 and b.balance_micro <> w.balance_micro
union all
select 'balance.zero.v1', 'suspender', l.account_id, l.switching, coalesce(c.crossing, 0)
from report.last_crossing l
left join report.crossing_copy c on c.reader = 'suspender' and c.account_id = l.account_id
where l.switching <> coalesce(c.crossing, 0)
union all
select 'balance.low.v1', 'notifier', l.account_id, l.crossing, coalesce(c.crossing, 0)
from report.last_crossing l
left join report.crossing_copy c on c.reader = 'notifier' and c.account_id = l.account_id
where l.crossing <> coalesce(c.crossing, 0)
union all
select 'service.suspended.v1', 'accounts', s.account_id || '/' || s.service_id,
    (s.confirmed = 'suspended')::int, coalesce(c.suspended, false)::int
from report.service_state s
join report.product p on p.service_id = s.service_id and p.account_id = s.account_id
left join report.service_copy c on c.service_id = s.service_id
where not s.open and not s.departed and s.confirmed is not null
    and (s.confirmed = 'suspended') <> coalesce(c.suspended, false)
union all
select 'tariff.published.v1', 'rating', v.version_id::text, v.version_id, 0
from report.tariff_version v
where not exists (select from report.tariff_copy c where c.version_id = v.version_id);
grant select on rating.drift_i12 to ringfence_rating;

grant select on report.alarm, report.profile_copy, report.crossing_copy, report.last_crossing,
    report.service_copy, report.tariff_version, report.tariff_copy, report.call_place, report.look,
    report.look_start, report.missing_copy to ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

-- What explains a call, an entry and a balance to an operator who has no access to this database.
-- Each view is read by a key that has an index, also in a ledger of 20 million entries. A call's
-- entries are found by their ids: that of the first charge is derived from ("charge", call id),
-- the others are in report.rerate_change. Entries themselves: report.ledger and report.balance.

create view report.rerate_change as
select call_id, account_id, run_id, undoes, replaced_id, reversal_id, charge_id, difference_micro
from rating.rerate_change;

create view report.not_billed as
select
    call_id, account_id, service_id, reason, hidden, started_at, posted_at, detail::json as detail
from rating.not_billed;

-- Every record that could not be read, also when it was sent again and rated since; of its text no
-- more than a person reads. report.dead_call has only those that were not.
create view report.dead_record as
select call_id, reason, died_at, left(record, 500) as record_start from rating.dead_call;

-- The ids by which a call or an entry can be named, for those who know only how an id begins: ask
-- for a range of `id`.
create view report.call_or_entry as
select entry_id as id, 'entry'::text as kind from rating.ledger
union all
select record_id, 'call' from report.accepted_record
union all
select call_id, 'call' from rating.unrated
union all
select call_id, 'call' from rating.not_billed
union all
select call_id, 'call' from rating.dead_call;

-- Accounts whose balance is not the sum of their entries (I1); ask for one `account_id`.
create view report.ledger_drift as
select account_id, balance_micro, ledger_micro, version, entries, broken_links
from rating.drift_i1;

grant select on report.rerate_change, report.not_billed, report.dead_record, report.call_or_entry,
    report.ledger_drift to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch, ringfence_suspender,
    ringfence_notifier, ringfence_accounts;

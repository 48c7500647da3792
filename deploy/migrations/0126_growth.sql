-- What keeps the installation at its size, and its checks at their duration.

-- 1. Pruning (docs/retention.md): rows of a finished past are deleted after a horizon, by index.
create index record_accepted_at on cdr_ingest.record (accepted_at);
create index reconciled_hour on cdr_ingest.reconciled (hour);
create index unconfirmed_row_confirmed on cdr_ingest.unconfirmed_row (confirmed_at)
    where confirmed_at is not null;
create index dead_call_died on rating.dead_call (died_at);
create index crossing_at on balance_watch.crossing (crossed_at);
create index handled_event_at on accounts.handled_event (handled_at);
create index command_answered on suspender.command (answered_at);
create index command_answered on notifier.command (answered_at);
create index alarm_ended on rating.alarm (ended_at) where ended_at is not null;
create index alarm_ended on suspender.alarm (ended_at) where ended_at is not null;
create index alarm_ended on notifier.alarm (ended_at) where ended_at is not null;
create index known_alarm_ended on notifier.known_alarm (ended_at) where ended_at is not null;
create index alarm_ended on balance_watch.alarm (ended_at) where ended_at is not null;
create index alarm_ended on accounts.alarm (ended_at) where ended_at is not null;
create index alarm_ended on cdr_ingest.alarm (ended_at) where ended_at is not null;

grant delete on rating.alarm to ringfence_rating;
grant delete on suspender.alarm to ringfence_suspender;
grant delete on notifier.alarm, notifier.known_alarm, notifier.command to ringfence_notifier;
grant delete on balance_watch.alarm to ringfence_balance_watch;
grant delete on accounts.alarm to ringfence_accounts;
grant delete on cdr_ingest.alarm to ringfence_cdr_ingest;

-- 2. Checkpoints of the verification (docs/adr/0042). An account's entries up to `version` were
-- checked; the sums are theirs. `version` is a multiple of 200: a slice has the versions
-- 200 * slice + 1 to 200 * slice + 200, and the digest of the rows as they were checked.
create table rating.checkpoint (
    account_id text primary key,
    version bigint not null,
    entries bigint not null,
    charges bigint not null,
    charged_micro bigint not null,
    reversed_micro bigint not null,
    paid_micro bigint not null,
    balance_after_micro bigint not null,
    checked_at timestamptz not null default now()
);
create table rating.checkpoint_slice (
    account_id text not null,
    slice bigint not null,
    entries int not null,
    digest bytea not null,
    sealed_at timestamptz not null default now(),
    checked_at timestamptz not null default now(),
    primary key (account_id, slice)
);
create index checkpoint_slice_checked on rating.checkpoint_slice (checked_at);
grant select, insert, update on rating.checkpoint, rating.checkpoint_slice to ringfence_rating;

-- Payments are few among the calls: I10 finds them without reading the calls.
create index ledger_payment on rating.ledger (account_id, entry_id)
    where kind in ('top-up', 'adjustment');

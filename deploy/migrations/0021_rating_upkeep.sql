-- A marked call is taken up by rating's replay loop; the mark goes with the attempt.
alter table rating.unrated add column replay_requested_at timestamptz;
create index unrated_replay on rating.unrated (replay_requested_at)
    where replay_requested_at is not null;

-- Events of what no record causes: replayed calls and re-rated ones.
create table rating.outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    key text not null,
    value bytea not null,
    event_id uuid not null,
    time timestamptz not null,
    source text not null,
    subject text not null,
    correlation_id text not null
);

-- A re-rating of a period. `from_text` and `to_text` stand as they were given: without an offset
-- they are read in each account's own zone.
create table rating.rerate_run (
    run_id uuid primary key,
    tariff_id text not null,
    version_id int not null,
    from_text text not null,
    to_text text not null,
    account_id text,
    started_at timestamptz not null,
    applied_at timestamptz,
    undo_started_at timestamptz,
    undone_at timestamptz
);
create unique index rerate_run_open on rating.rerate_run
    (tariff_id, version_id, from_text, to_text, coalesce(account_id, '')) where applied_at is null;

-- What a run did to a call: the charge that it replaced, and the two entries that it wrote.
-- The undoing of a run replaces once more, with `undoes`.
create table rating.rerate_change (
    run_id uuid not null references rating.rerate_run,
    undoes boolean not null,
    account_id text not null,
    call_id uuid not null,
    replaced_id uuid not null,
    reversal_id uuid not null,
    charge_id uuid not null,
    difference_micro bigint not null,
    service_id text not null,
    period date not null,
    free_difference_s int not null,
    primary key (run_id, undoes, account_id, call_id)
);
create index rerate_change_call on rating.rerate_change (call_id);

-- I2, the ledger's part: a reversal gives back exactly what its entry took, once.
create view rating.drift_i2 as
select r.entry_id, r.account_id, r.reverses, r.amount_micro, l.amount_micro as reversed_micro
from rating.ledger r
left join rating.ledger l on l.entry_id = r.reverses
where r.kind = 'reversal'
    and (
        l.entry_id is null
        or l.account_id <> r.account_id
        or l.amount_micro <> -r.amount_micro
        or exists (
            select from rating.ledger o
            where o.reverses = r.reverses and o.entry_id <> r.entry_id
        )
    );

grant select, insert, update, delete on
    rating.outbox, rating.rerate_run, rating.rerate_change to ringfence_rating;
grant select on rating.drift_i2 to ringfence_rating;
grant usage on all sequences in schema rating to ringfence_rating;

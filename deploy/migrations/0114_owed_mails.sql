-- What is owed to a client, named by what it is about: `kind`, `number` (of the stay below the
-- threshold, or of the funds hold) and `day` (of the daily reminder, 0 for the first mail). Rows from
-- before have no number. I5: each is in exactly one of waiting (or sending, a moment of waiting),
-- sent, in-doubt, failed, dropped.
-- `waits_for`: why it is not due, empty where it is due at `next_attempt_at` (null: at an event).
-- `due_at`: since when it could be sent. `offered_at`: when its text was last about to go out.
-- `confirmed_off`: the service that a zero mail is about is off. `again`: dropped, but owed once more
-- if its reason ends while it is true.
alter table notifier.message drop constraint message_state_check;
alter table notifier.message
    add column kind text not null default '',
    add column number bigint,
    add column day integer not null default 0,
    add column priority smallint not null default 0,
    add column balance_version bigint not null default 0,
    add column confirmed_off boolean not null default true,
    add column waits_for text not null default '',
    add column again boolean not null default false,
    add column due_at timestamptz,
    add column offered_at timestamptz,
    alter column next_attempt_at drop not null;

update notifier.message set
    kind = case
        when alarm_kind is not null then 'alarm'
        when template = 'Low Balance Alert' then 'low'
        else 'zero'
    end;
update notifier.message set
    priority = case kind when 'alarm' then 0 when 'zero' then 1 else 3 end,
    due_at = created_at,
    offered_at = case when state in ('sending', 'sent', 'in-doubt') then
        coalesce(sent_at, next_attempt_at, created_at) end,
    waits_for = case when state = 'waiting' then 'account' else '' end,
    next_attempt_at = case when state = 'waiting' then null else next_attempt_at end,
    last_error = case
        when state in ('skipped', 'superseded') and last_error = '' then 'not sent'
        else last_error end,
    again = shadow and state in ('skipped', 'superseded'),
    state = case state
        when 'pending' then 'waiting' when 'skipped' then 'dropped'
        when 'superseded' then 'dropped' else state end;
alter table notifier.message
    alter column kind drop default,
    alter column due_at set not null,
    add constraint message_kind_check
        check (kind in ('low', 'zero', 'restored', 'alarm', 'digest')),
    add constraint message_state_check
        check (state in ('waiting', 'sending', 'sent', 'failed', 'in-doubt', 'dropped')),
    add constraint message_reason_check check (state <> 'dropped' or last_error <> '');
-- What a client in shadow would have got is a record beside what it is owed when it goes live.
create unique index message_owed on notifier.message (account_id, kind, number, day)
    where number is not null and not shadow;

drop index notifier.message_due, notifier.message_unsent;
create index message_due on notifier.message (priority, next_attempt_at)
    where state = 'waiting' and next_attempt_at is not null;
create index message_waiting on notifier.message (account_id)
    where state = 'waiting' or again;
create index message_newest on notifier.message (created_at, message_id);
create index message_low on notifier.message (account_id, offered_at)
    where kind = 'low' and offered_at is not null;

-- The last crossing that was read, with the level after it; the newest hold and the newest that
-- ended; the newest stay, and when its first alert went out.
alter table notifier.level drop constraint level_level_check;
alter table notifier.level
    alter column crossing type bigint,
    alter column zero_crossing type bigint,
    add column hold bigint not null default 0,
    add column hold_ended bigint not null default 0,
    add constraint level_level_check check (level in ('ok', 'low', 'exhausted'));
alter table notifier.message alter column crossing type bigint;

-- How a client is written to, beside the name and the address.
alter table notifier.account
    add column time_zone text not null default 'UTC',
    add column language text not null default '',
    add column cc text[] not null default '{}',
    add column custom_fields jsonb not null default '{}';

-- The notifier raises alarms of its own; those that it read from all services move aside.
alter table notifier.alarm rename to known_alarm;
alter index notifier.alarm_raised_in rename to known_alarm_raised_in;
alter index notifier.alarm_ended_in rename to known_alarm_ended_in;
create table notifier.alarm (like rating.alarm including all);
grant select, insert, update on notifier.alarm to ringfence_notifier;

-- What operators asked of the notifier, each done at most once by its id.
create table notifier.command (like suspender.command including all);
grant select, insert on notifier.command to ringfence_notifier;

create or replace view report.alarm as
select 'rating'::text as service, * from rating.alarm
union all
select 'suspender'::text, * from suspender.alarm
union all
select 'notifier'::text, * from notifier.alarm;

create or replace view report.command as
select 'suspender'::text as service, request_id, command, arguments, requested_by, reason,
    requested_at, state, answer, answered_at
from suspender.command
union all
select 'notifier'::text, request_id, command, arguments, requested_by, reason,
    requested_at, state, answer, answered_at
from notifier.command;

create or replace view report.level as
select
    account_id, level, balance_micro, balance_version, threshold_micro, outstanding_micro,
    held, holds as hold, stay, credit_limit_micro, accepted, settled, mode, profile_version,
    funds, updated_at, stays, currency
from balance_watch.account;

-- The words are those that were sent; a mail that waits has none yet.
create view report.notice as
select
    message_id as notice_id, account_id, kind, template, number, day, cause_id,
    case state when 'sending' then 'waiting' when 'in-doubt' then 'in doubt' else state end as state,
    case when state = 'sending' then 'it is being sent' else last_error end as reason,
    recipient, subject, text_body as text, html_body as html, attempts, shadow,
    occurred_at, created_at, case when state = 'waiting' then next_attempt_at end as next_attempt_at,
    offered_at, sent_at
from notifier.message;
grant select on report.notice to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch, ringfence_suspender,
    ringfence_notifier, ringfence_accounts;

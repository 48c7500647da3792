-- A client in shadow gets no mail: what would have been sent is recorded. `prepaid`: the client has
-- VoIP service with a prepaid product. `live_since`: when the client last left shadow, if ever.
alter table notifier.account
    add column mode text not null default 'live' check (mode in ('shadow', 'live')),
    add column prepaid boolean not null default true,
    add column live_since timestamptz;

-- `shadow`: not sent because the client was in shadow. `alarm_kind`: a mail to the operator about
-- alarms of this kind, `service/key`; its client is null unless all of its alarms are about one.
alter table notifier.message
    alter column account_id drop not null,
    add column shadow boolean not null default false,
    add column alarm_kind text;
create index message_alarm on notifier.message (alarm_kind, template, next_attempt_at)
    where alarm_kind is not null;
create index message_shadow on notifier.message (account_id) where shadow;

-- Every alarm that was read, and the mails that report its beginning and its end. `raised_in` is
-- null where the alarm ended before its mail was sent.
create table notifier.alarm (
    alarm_id uuid primary key,
    service text not null,
    key text not null,
    subject text not null,
    severity text not null check (severity in ('warning', 'critical')),
    state text not null check (state in ('raised', 'ended')),
    message text not null,
    what_to_do text not null,
    account_id text,
    raised_at timestamptz not null,
    ended_at timestamptz,
    raised_in uuid references notifier.message,
    ended_in uuid references notifier.message
);
create index alarm_raised_in on notifier.alarm (raised_in, raised_at);
create index alarm_ended_in on notifier.alarm (ended_in, ended_at);
grant select, insert, update on notifier.alarm to ringfence_notifier;

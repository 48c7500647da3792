-- What a person must see to. One open alarm for each kind (`key`) and subject; each service that
-- raises alarms keeps its own, and publishes every change through its outbox.
create table rating.alarm (
    alarm_id uuid primary key,
    key text not null,
    subject text not null,
    severity text not null check (severity in ('warning', 'critical')),
    message text not null,
    what_to_do text not null,
    account_id text,
    raised_at timestamptz not null,
    ended_at timestamptz
);
create unique index alarm_open on rating.alarm (key, subject) where ended_at is null;
grant select, insert, update on rating.alarm to ringfence_rating;

create table suspender.alarm (like rating.alarm including all);
grant select, insert, update on suspender.alarm to ringfence_suspender;

create view report.alarm as
select 'rating'::text as service, * from rating.alarm
union all
select 'suspender'::text, * from suspender.alarm;

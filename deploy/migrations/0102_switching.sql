-- What the suspender decides from: the funds hold as balance-watch published it, with the number of
-- the hold. `undone_hold` is a hold that an operator undid with the brake.
-- `decide_at`: when an order ends by itself, and all is decided again.
alter table suspender.account
    add column held boolean not null default false,
    add column hold bigint not null default 0,
    add column hold_reason text not null default '',
    add column held_since timestamptz,
    add column mail_owed boolean not null default true,
    add column undone_hold bigint not null default 0,
    add column live boolean not null default true,
    add column prepaid boolean not null default true,
    add column decide_at timestamptz;
create index account_decide on suspender.account (decide_at) where decide_at is not null;
create index account_held on suspender.account (held_since) where held;

-- `would`: what the holds want; `wanted`: what the PBX is to be now, which in shadow differs.
-- `reason_seq` counts the changes of reason of a service that stays off.
alter table suspender.service
    add column would text not null default 'leave'
        check (would in ('active', 'suspended', 'leave')),
    add column holds text[] not null default '{}',
    add column client_wide boolean not null default true,
    add column live boolean not null default true,
    add column reason_seq bigint not null default 0;

-- Installations from before: the funds holds are those of balance-watch. All accounts are decided
-- again at once. The zero mail of a hold was sent, unless no cut was confirmed yet.
update suspender.account a set held = w.held, hold = w.holds
from balance_watch.account w where w.account_id = a.account_id;
update suspender.account a set mail_owed = coalesce((
    select bool_and(s.zero_mail and s.wanted_seq > s.confirmed_seq)
    from suspender.service s where s.account_id = a.account_id and s.wanted = 'suspended'
), true)
where held;
alter table suspender.service drop column zero_mail;
update suspender.account a set
    live = coalesce(profile ->> 'mode', 'live') = 'live',
    prepaid = exists (
        select from json_array_elements(a.profile -> 'services') as p (service)
        where coalesce(p.service ->> 'prepaid', 'true') = 'true'
    )
where profile is not null;
update suspender.account set decide_at = now() where profile is not null;

-- The brake: while `on_since` is set, nobody is cut for funds. Holds that began before
-- `counted_from` count no more.
create table suspender.brake (
    one integer primary key default 1 check (one = 1),
    on_since timestamptz,
    cause text not null default '',
    counted_from timestamptz not null default 'epoch'
);
insert into suspender.brake default values;

-- What operators asked of the suspender, each done at most once by its id.
create table suspender.command (
    request_id uuid primary key,
    command text not null,
    arguments jsonb not null,
    requested_by text not null,
    reason text not null,
    requested_at timestamptz not null,
    state text not null check (state in ('done', 'refused')),
    answer text not null,
    answered_at timestamptz not null default now()
);
grant select, insert, update, delete on suspender.brake, suspender.command to ringfence_suspender;

create or replace view report.service_state as
select
    service_id, account_id, server_id, wanted, mode, confirmed,
    (wanted_seq > confirmed_seq) as open, coalesce(confirmed_at, wanted_at) as since,
    evidence, last_error, attempts, next_attempt_at,
    would, holds, client_wide, live, kind
from suspender.service;

create view report.hold as
select account_id, held, hold, hold_reason, held_since, undone_hold, live, crossing,
    profile_version
from suspender.account;

create view report.brake as select on_since, cause, counted_from from suspender.brake;

create view report.command as
select 'suspender'::text as service, request_id, command, arguments, requested_by, reason,
    requested_at, state, answer, answered_at
from suspender.command;

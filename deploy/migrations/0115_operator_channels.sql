-- What goes to the operator beside mail: events to webhooks, alarms to chat and SMS.
-- A channel that is configured for the first time gets what happens from then on (`since`).
create table notifier.channel (
    kind text not null check (kind in ('webhook', 'chat')),
    name text not null,
    since timestamptz not null,
    primary key (kind, name)
);

-- One row for each event and webhook, or for each message to chat. `delivery_id` is derived from the
-- event and the channel: an event that is read again adds nothing. `body` is sent as it is.
-- `alarms` are those that a chat message is about while it waits, by alarm id.
create table notifier.delivery (
    delivery_id uuid primary key,
    kind text not null,
    channel text not null,
    event_type text not null,
    event_id uuid not null,
    subject text not null,
    body text not null,
    alarms jsonb not null default '{}',
    state text not null check (state in ('waiting', 'delivered', 'failed')),
    attempts integer not null default 0,
    next_attempt_at timestamptz not null,
    last_status integer,
    last_error text not null default '',
    occurred_at timestamptz not null,
    created_at timestamptz not null,
    delivered_at timestamptz,
    foreign key (kind, channel) references notifier.channel (kind, name)
);
create index delivery_due on notifier.delivery (kind, channel, next_attempt_at)
    where state = 'waiting';
create index delivery_newest on notifier.delivery (created_at, delivery_id);
create index delivery_chat on notifier.delivery (channel, event_type, subject, next_attempt_at)
    where kind = 'chat';
grant select, insert, update, delete on notifier.channel, notifier.delivery to ringfence_notifier;

-- Bodies and addresses are not shown: they can hold what only the receiver may know.
create view report.webhook_delivery as
select delivery_id, channel as webhook, event_type, event_id, subject, state, attempts,
    case when state = 'waiting' then next_attempt_at end as next_attempt_at, last_status, last_error,
    occurred_at, created_at, delivered_at
from notifier.delivery where kind = 'webhook';

create view report.chat_delivery as
select delivery_id, channel, event_type, subject, state, attempts,
    case when state = 'waiting' then next_attempt_at end as next_attempt_at, last_error,
    occurred_at, created_at, delivered_at
from notifier.delivery where kind = 'chat';

-- Calls that can never be rated as they are, until they are sent again and settled (I3).
create view report.dead_call as
select d.call_id, d.reason, d.died_at from rating.dead_call d
where not exists (
        select from rating.ledger l where l.kind = 'charge' and l.cause_id = d.call_id
    )
    and not exists (select from rating.not_billed n where n.call_id = d.call_id)
    and not exists (select from rating.unrated u where u.call_id = d.call_id);

grant select on report.webhook_delivery, report.chat_delivery, report.dead_call to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch, ringfence_suspender,
    ringfence_notifier, ringfence_accounts;

-- The digest asks for a day of the ledger, which is written in the order of `posted_at`.
create index ledger_posted on rating.ledger using brin (posted_at);

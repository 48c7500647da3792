-- Orders of persons and of WHMCS, the mode, the credit limit, and when the debts were read.
alter table accounts.account
    add column orders jsonb not null default '[]',
    add column mode text not null default 'live' check (mode in ('shadow', 'live')),
    add column leave_off boolean not null default false,
    add column credit_limit_micro bigint not null default 0 check (credit_limit_micro >= 0),
    add column outstanding_as_of timestamptz;

-- Installations from before: the two suspension fields were the orders.
update accounts.account a set orders = (
    select coalesce(jsonb_agg(jsonb_build_object(
        'kind', o.kind, 'service_id', null, 'given_by', 'an earlier version', 'reason', o.reason,
        'since', to_char(a.changed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'until', null, 'by_field', true
    )), '[]')
    from (values
        ('manual', 'Manual VoIP Suspend = Yes', a.profile ->> 'manual_voip_suspend' = 'Yes'),
        ('forced', 'VoIP Suspended = Yes, written by a person',
            a.profile ->> 'voip_suspended' = 'Yes' and a.profile ->> 'voip_suspended_by' = 'person'),
        ('exemption', 'Manual VoIP Suspend = No and VoIP Suspended = No',
            a.profile ->> 'manual_voip_suspend' = 'No' and a.profile ->> 'voip_suspended' = 'No')
    ) as o(kind, reason, given)
    where o.given
);

-- Who changed what, with the values before and after.
alter table accounts.account_change
    add column reason text not null default '',
    add column before jsonb,
    add column after jsonb;
create index account_change_at on accounts.account_change (account_id, changed_at);

-- An opening balance may be 0. A refund names its payment. A payment that was entered from the
-- topic, after a restore, says who claimed it.
alter table accounts.payment
    drop constraint payment_amount_micro_check,
    add constraint payment_amount_micro_check
        check (amount_micro <> 0 or idempotency_key = 'opening'),
    add column refunds uuid references accounts.payment,
    add column claimed_by text,
    add column claim_reason text;
create index payment_refunds on accounts.payment (refunds) where refunds is not null;

-- What operators asked of other services; each owner answers in report.command.
create table accounts.command (
    request_id uuid primary key,
    service text not null,
    command text not null,
    arguments jsonb not null,
    requested_by text not null,
    reason text not null,
    requested_at timestamptz not null
);
create index command_at on accounts.command (requested_at, request_id);
create index payment_at on accounts.payment (account_id, received_at, payment_id);
grant select, insert on accounts.command to ringfence_accounts;

-- A product that is held by itself alone says nothing of the client.
alter table accounts.service_state add column client_wide boolean not null default true;

-- Rating redeems the claim check of a payment here.
grant select on accounts.payment to ringfence_rating;

create view report.payment as
select payment_id, account_id, idempotency_key, kind, amount_micro, currency, reference,
    received_at, received_by, refunds, claimed_by
from accounts.payment;

create view report.account as
select account_id, version, currency, outstanding_micro, credit_limit_micro, mode, changed_at
from accounts.account;

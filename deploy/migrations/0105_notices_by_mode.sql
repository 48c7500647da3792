-- A client in shadow gets no mail: what would have been sent is recorded.
alter table notifier.account
    add column mode text not null default 'live' check (mode in ('shadow', 'live')),
    add column prepaid boolean not null default true;

-- Free minutes by groups of destinations (ADR 53): used seconds by bundle, '' for the national one.
-- A re-rating's change has the bundle too, so that its undoing moves the seconds of the same one.
alter table rating.free_minutes
    add column bundle text not null default '',
    drop constraint free_minutes_pkey,
    add primary key (account_id, service_id, period, bundle);

alter table rating.rerate_change
    add column bundle text not null default '';

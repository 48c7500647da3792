-- Free minutes by groups of destinations (ADR 53): used seconds of a product's period by bundle.
-- Those of the national bundle stay in rating.free_minutes, so that the version before can write.
create table rating.free_bundle (
    account_id text not null,
    service_id text not null,
    period date not null,
    bundle text not null,
    used_s int not null check (used_s >= 0),
    primary key (account_id, service_id, period, bundle)
);

grant select, insert, update, delete on rating.free_bundle to ringfence_rating;

-- So that the undoing of a re-rating moves the seconds of the same bundle; '' is the national one.
alter table rating.rerate_change
    add column bundle text not null default '';

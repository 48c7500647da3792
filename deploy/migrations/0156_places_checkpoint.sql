-- The verification of I3 from a checkpoint (docs/adr/0042): calls that were accepted up to `upto` were
-- found in exactly one place. Those of them that are not settled for good, because they wait for a
-- price or are dead, are looked at again by their ids.
create table rating.checkpoint_places (
    only_row boolean primary key default true check (only_row),
    upto timestamptz not null,
    records bigint not null
);
create table rating.checkpoint_open_call (call_id uuid primary key);
grant select, insert, update, delete on rating.checkpoint_places, rating.checkpoint_open_call
    to ringfence_rating;

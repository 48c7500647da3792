-- The version of a Les.net CDR file that was dealt with last, so that it is asked for only when it
-- changed. `profile` is the hash of what it was read by; `refusal` says why nothing of it was taken,
-- and is empty if it was. `newest_at` is the newest row ever taken from the link.
create table cdr_ingest.lesnet_file (
    server_id text not null,
    link text not null,
    etag text not null,
    last_modified text not null,
    sha256 text not null,
    profile text not null,
    refusal text not null,
    newest_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (server_id, link)
);

grant select, insert, update, delete on cdr_ingest.lesnet_file to ringfence_cdr_ingest;

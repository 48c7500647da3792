-- Whether other legs name the call of a leg that has no number (ADR 56).
create index leg_originating on cdr_ingest.leg (originating_id) where originating_id is not null;

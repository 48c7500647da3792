-- Every service may ask the views, the new ones too.
grant select on all tables in schema report to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

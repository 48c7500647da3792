-- The products as the front door holds them, for whoever compares them with the servers.
create view report.product as
select service_id, account_id, package_id, service ->> 'server_id' as server_id, service, changed_at
from accounts.product;
grant select on report.product to ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

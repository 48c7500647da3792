-- One role and one schema per service: a service can write in no other's.
-- Roles belong to the whole cluster, so a second database of it finds them there already.
do $$
declare
    service text;
begin
    foreach service in array array[
        'cdr_ingest', 'rating', 'balance_watch', 'suspender', 'notifier', 'accounts'
    ] loop
        begin
            if not exists (select from pg_roles where rolname = 'ringfence_' || service) then
                execute format('create role %I nologin', 'ringfence_' || service);
            end if;
        exception when duplicate_object or unique_violation then
            null; -- another migrator of the same cluster was first
        end;
        execute format('create schema if not exists %I', service);
        execute format('grant usage on schema %I to %I', service, 'ringfence_' || service);
    end loop;
end
$$;

-- What services publish for reading. A view is a contract, like a topic.
create schema if not exists report;
grant usage on schema report to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;

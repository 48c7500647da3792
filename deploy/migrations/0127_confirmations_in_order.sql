-- When the last confirmation was made and the last failure happened: the topics of off, on and failed
-- have no common order, and a record that is older than what is known changes nothing.
alter table accounts.service_state add column confirmed_at timestamptz;
alter table accounts.service_state add column failed_at timestamptz;

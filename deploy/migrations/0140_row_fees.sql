-- Amounts of a tariff's row for each call: decimals as text, null where the package's apply. A row's
-- digest contains them only where one is set.
alter table accounts.tariff_rate
    add column connection_fee text,
    add column minimum_cost text,
    add column maximum_cost text;

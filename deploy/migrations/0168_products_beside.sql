-- Which products name one of these gateways: looked up whenever a product is entered.
create index product_gateways on accounts.product using gin ((service->'gateway_ids'));

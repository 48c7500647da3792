"""`ringfence doctor`: examines servers, database, brokers, products. Changes nothing."""

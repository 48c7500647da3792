"""`ringfence doctor`: checks servers, database, brokers and products without changing anything."""

"""Tasks in addition to switching: inventories of servers, comparison with products, drift."""

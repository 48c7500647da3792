"""Tasks besides switching: inventories of servers, their comparison with products, and drift."""

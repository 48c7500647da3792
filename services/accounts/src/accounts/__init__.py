"""The front door: clients, products, tariffs, top-ups and operators."""

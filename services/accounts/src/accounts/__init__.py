"""The API: clients, products, tariffs, payments and operators."""

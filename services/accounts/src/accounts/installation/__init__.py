"""The operator's servers: state, inventory, comparison with the products, adoption."""

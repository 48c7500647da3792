"""Commands about clients: profiles, modes, orders, suspension."""

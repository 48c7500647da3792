"""Commands about clients: profiles, orders, modes, and why they are on or off."""

"""Commands about servers: inventory, adoption, proposed products."""

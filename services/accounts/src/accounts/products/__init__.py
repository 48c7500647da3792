"""Products of clients: their fields, what two must not share, what is switched off of them."""

"""What is known of the operator's servers: their state, what they have, what differs, adoption."""

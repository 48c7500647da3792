"""Commands about the operator's servers: their state, pauses, what they have, what differs."""

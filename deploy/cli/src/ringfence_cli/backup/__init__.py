"""`ringfence backup` and `ringfence restore`: the database, and what the topics hold beside it."""

"""What a third party needs to read our topics: events, topics, money, ids, schemas."""

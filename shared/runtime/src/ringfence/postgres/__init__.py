"""PostgreSQL at the edge: pools with a role, migrations, the transactional outbox."""

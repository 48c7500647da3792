"""The whole product on one machine: embedded Kafka and PostgreSQL, SMTP sink, supervisor."""

"""How a service runs: Kafka, PostgreSQL, outbox, parking, logs, metrics, health, errors."""

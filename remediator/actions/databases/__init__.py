"""Actions on databases and queues that an operator runs: CloudNativePG, Zalando's PostgreSQL, Strimzi's Kafka."""

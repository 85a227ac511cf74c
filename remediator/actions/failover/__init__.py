"""Failovers of what no operator's object stands for: Redis by its Sentinels, PostgreSQL by Patroni."""

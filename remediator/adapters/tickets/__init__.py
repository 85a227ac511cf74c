"""Ticket systems, one file each, and the carrier of the outbox channel `ticket`."""

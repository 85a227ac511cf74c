"""Managed services of a cloud: snapshots and reboots of RDS instances."""

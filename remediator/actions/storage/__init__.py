"""Actions on volumes and their backups: growing a claim, Longhorn, Velero."""

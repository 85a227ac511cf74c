"""Actions on certificates."""

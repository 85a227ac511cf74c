"""Actions on objects of any kind, for what has no action of its own."""

"""Actions that send traffic elsewhere."""

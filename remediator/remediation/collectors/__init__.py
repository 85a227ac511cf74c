"""Collectors: one file a kind of evidence, found by name in `evidence.py`. They only read."""

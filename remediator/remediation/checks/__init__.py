"""Checks: one file a kind, found by name in `registry.py`. They prove success, and nothing else does."""

"""Playbooks: YAML to a validated value, expressions, loading and hot reload. Pure once the bytes are read."""

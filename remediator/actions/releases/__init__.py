"""Helm releases: upgrades to a pinned version, and back to a revision."""

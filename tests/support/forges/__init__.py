"""Forges that keep to their APIs: a repository in memory with commits, branches and pull requests, and two servers."""

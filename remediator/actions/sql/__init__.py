"""Databases behind a Kubernetes object: maintenance, and ending sessions that hold others up."""

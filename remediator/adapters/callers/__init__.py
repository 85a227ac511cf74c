"""Callers: one file for each way to ask and tell something outside the Kubernetes API (`ports.Caller`)."""

"""Runs remediation playbooks on Kubernetes when Alertmanager sends an alert."""

__version__ = "0.1.0"

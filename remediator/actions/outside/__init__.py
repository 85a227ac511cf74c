"""Actions on something outside the Kubernetes API: programs in containers, HTTP endpoints, Airflow, Alertmanager."""

"""Actions on Deployments, StatefulSets, DaemonSets and their pods."""

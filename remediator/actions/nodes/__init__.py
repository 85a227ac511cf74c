"""Actions on nodes: taking them out of service and back, fixed commands on the host, replacing them."""

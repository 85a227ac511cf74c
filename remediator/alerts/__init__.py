"""From webhook bytes to alerts, and from an alert's labels to the object it is about. Pure: no I/O in here."""

"""Routes that read, call and answer; nothing is decided in here."""

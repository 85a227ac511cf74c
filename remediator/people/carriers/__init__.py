"""Carriers that need nothing but the ports `Chat` and `Pager`."""

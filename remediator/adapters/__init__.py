"""Everything that talks to the outside. Each adapter implements one port; vendor errors stop here."""

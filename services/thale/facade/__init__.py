"""The HTTP facade: thale's only front door."""

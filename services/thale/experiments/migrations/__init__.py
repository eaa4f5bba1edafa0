"""Migrations of the store by Alembic. `thale.experiments.migrate` runs them at the start, under a lock."""

HEAD = "0003"
"""Revision of the schema of this version. A test compares it with the scripts."""

"""Traits: the table of what is measured, and how."""

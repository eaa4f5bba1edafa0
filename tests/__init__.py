"""Tests of the whole repository and their shared support."""

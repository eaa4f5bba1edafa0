"""Fakes, process fixtures and samples that the tests of all packages share."""

"""Load tests: scenarios with SLO checks, and the capacity benchmark of one machine."""

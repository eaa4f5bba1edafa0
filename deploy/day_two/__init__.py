"""Procedures for a cluster in operation: upgrades, node pools, secrets, restores and failover (docs/day-two.md).

Each procedure first checks whether it may run, then lists its actions with the exact commands. It changes something
only with `--apply`. The actions follow from the present state, so that a second run continues after a failure.
"""

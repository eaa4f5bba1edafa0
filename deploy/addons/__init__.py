"""Cluster add-ons at exact versions, installed in the order of `kubernetes/platform/addons.toml`.

The package needs the standard library only (`python -S`).
"""

"""Copies of releases outside of the cluster, from which a lost cluster is restored."""

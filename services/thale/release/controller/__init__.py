"""Rollout controller: leader election, metrics scraping, decisions and checkpoints."""

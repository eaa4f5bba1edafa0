"""Limits of one caller: rate, concurrency and daily budget, in process or in a store shared by all replicas."""

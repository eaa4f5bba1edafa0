"""Capacity planning: replicas, nodes and cost of a load, and the simulation of a day of traffic.

`benchmark` has the measured values of one machine (loadtests/knee.py). `environment_limits` has the limits of each
environment (kubernetes/overlays, terraform/environments). `plan` combines both. `day_simulation` simulates a day with
the autoscalers of the manifests (ADR 0068).
"""

"""Simulation of rollouts on sampled traffic."""

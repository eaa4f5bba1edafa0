"""Admission control: which requests run, wait or are rejected, by the estimated cost of their images."""

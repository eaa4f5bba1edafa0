"""Inference with fallback, shadow traffic, and metrics of model output."""

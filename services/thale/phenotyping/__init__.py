"""Phenotypes from predictions: plant reconstruction, traits, and quality flags."""

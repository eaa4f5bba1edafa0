"""Contested root: the expected share of each plant's root length that is assigned to the wrong one of two plants.

A root that two plants reach at about equal cost can belong to either. The probability of the rival falls with the
additional cost of its path, the margin. If the rival is right, the root is too much in one plant and missing in the
other. It therefore counts for both.
"""

import math
from collections.abc import Sequence

from thale.phenotyping.plants.root_assignment import TracedRoot

_MARGIN_SCALE = 0.6
"""Margin by which the odds of the rival fall by a factor of e."""


def contested_shares(roots: Sequence[TracedRoot], lengths: Sequence[float], plant_count: int) -> list[float]:
    """Return the contested share of each plant, 0 to 1: its contested length over its traced length.

    Args:
        roots: The roots of all plants.
        lengths: Length of each root, in any unit.
        plant_count: Number of plants.
    """
    traced, contested = [0.0] * plant_count, [0.0] * plant_count
    for root, length in zip(roots, lengths, strict=True):
        traced[root.plant] += length
        for plant in {root.plant, root.rival} - {None}:
            contested[plant] += length * rival_probability(root.margin)
    return [min(1.0, part / whole) if whole else 0.0 for part, whole in zip(contested, traced, strict=True)]


def rival_probability(margin: float) -> float:
    """Return the probability that the rival's assignment is right: 0.5 without a margin, 0 without a rival."""
    return (1 - math.tanh(margin / _MARGIN_SCALE / 2)) / 2

"""Contested root: how much of each plant's root length may belong to a neighbour, and how surely it does not.

A root that two plants reach at about equal cost can belong to either. The probability of the rival falls with the
additional cost of its path, the margin. If the rival is right, the root is too much in one plant and missing in the
other. It therefore counts for both.
"""

import math
from collections.abc import Sequence

from thale.phenotyping.plants.root_assignment import TracedRoot

_MIN_SHARE = 0.05
"""Smallest share of a plant's total length that matters: its traits are meant to be right within 5 %."""
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
        for plant in (root.plant, root.rival):
            if plant is not None:
                contested[plant] += length * rival_probability(root.margin)
    return [min(1.0, part / whole) if whole else 0.0 for part, whole in zip(contested, traced, strict=True)]


def rival_probability(margin: float) -> float:
    """Return the probability that the rival's assignment is right: 0.5 without a margin, 0 without a rival."""
    return (1 - math.tanh(margin / _MARGIN_SCALE / 2)) / 2


def exchange_margins(roots: Sequence[TracedRoot], lengths: Sequence[float], plant_count: int) -> list[float]:
    """Return the smallest margin of each plant at which more than 5 % of its root length may be exchanged.

    The roots that a plant may lose or gain are added up in the order of their margins. Infinity if all of them are
    up to 5 % of the plant's length. Arguments: see `contested_shares`.
    """
    traced, exchanged = [0.0] * plant_count, [0.0] * plant_count
    for root, length in zip(roots, lengths, strict=True):
        traced[root.plant] += length
    margins = [math.inf] * plant_count
    for root, length in sorted(zip(roots, lengths, strict=True), key=lambda pair: pair[0].margin):
        if root.rival is None:
            continue
        for plant in (root.plant, root.rival):
            exchanged[plant] += length
            if exchanged[plant] > _MIN_SHARE * traced[plant]:
                margins[plant] = min(margins[plant], root.margin)
    return margins

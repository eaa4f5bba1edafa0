"""Matching: plants of different photographs that are the same plant, by the position of their root bases.

A root base does not move: the seedling grows, but it stays in its place. Plants are assigned one to one with the least
sum of squared displacements (Kuhn 1955; `scipy.optimize.linear_sum_assignment`). A plant without a partner within
`MAX_DISPLACEMENT_MM` has vanished or has appeared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import chdtri

MAX_DISPLACEMENT_MM = 6.0
"""Maximum displacement of a root base: a third of the smallest spacing of seedlings on a plate, 18 mm."""

POSITION_SD_MM = 1.5
"""Standard deviation of a displacement: the plate's corner (about 1 mm) and the root base, which leaves may hide."""

_MIN_ODDS = 20.0
_AMBIGUITY_MM2 = 2 * POSITION_SD_MM**2 * math.log(_MIN_ODDS)
"""Difference of two sums of squared displacements at which one assignment is 20 times as likely as the other."""

_FALSE_ALARM_RATE = 0.001
_MIN_PLANTS = 3
_FORBIDDEN = 1e9


@dataclass(frozen=True)
class Assignment:
    """Pairs of indices (before, after), and the indices before whose pair another assignment could replace."""

    pairs: tuple[tuple[int, int], ...]
    ambiguous: frozenset[int]


def assign(before_N2_mm: Sequence[NDArray[np.float64]], after_M2_mm: Sequence[NDArray[np.float64]]) -> Assignment:
    """Return the one-to-one assignment of positions with the least sum of squared displacements.

    Args:
        before_N2_mm: Last known root bases.
        after_M2_mm: Root bases of the next photograph.
    """
    if not len(before_N2_mm) or not len(after_M2_mm):
        return Assignment((), frozenset())
    before, after = np.asarray(before_N2_mm, np.float64), np.asarray(after_M2_mm, np.float64)
    squared_NM = ((before[:, None] - after[None]) ** 2).sum(axis=2)
    limit = MAX_DISPLACEMENT_MM**2
    cost_NM = np.where(squared_NM <= limit, squared_NM, _FORBIDDEN)
    rows, columns = (np.flatnonzero((cost_NM < _FORBIDDEN).any(axis=axis)) for axis in (1, 0))
    cost_NM = cost_NM[np.ix_(rows, columns)]  # a plant without a partner would only enlarge the problem
    pairs = _solve(cost_NM, limit)
    ambiguous = frozenset(int(rows[i]) for i, j in pairs if _is_ambiguous(cost_NM, pairs, i, j, limit))
    return Assignment(tuple((int(rows[i]), int(columns[j])) for i, j in pairs), ambiguous)


def is_scattered(displacements_mm: Sequence[float]) -> bool:
    """Return True if the plants of a photograph moved by more than the error of positions, all taken together.

    The test is chi-squared with `POSITION_SD_MM` as root mean square. Photographs of two plates, whose plants were sown
    at similar places, fail it. Below three plants, it returns False.
    """
    if len(displacements_mm) < _MIN_PLANTS:
        return False
    freedom = 2 * len(displacements_mm)
    mean_square = sum(displacement**2 for displacement in displacements_mm) / len(displacements_mm)
    return bool(mean_square > POSITION_SD_MM**2 * chdtri(freedom, _FALSE_ALARM_RATE) / freedom)


def _solve(cost_NM: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """Return the best pairs. A pair may be left out at the cost of `limit`, half for each of its plants."""
    rows, columns = cost_NM.shape
    padded = np.full((rows + columns, columns + rows), _FORBIDDEN)
    padded[:rows, :columns] = cost_NM
    padded[:rows, columns:][np.diag_indices(rows)] = limit / 2
    padded[rows:, :columns][np.diag_indices(columns)] = limit / 2
    padded[rows:, columns:] = 0.0
    found = zip(*linear_sum_assignment(padded), strict=True)
    return [(int(i), int(j)) for i, j in found if i < rows and j < columns and cost_NM[i, j] < _FORBIDDEN]


def _is_ambiguous(
    cost_NM: NDArray[np.float64], pairs: Sequence[tuple[int, int]], row: int, column: int, limit: float
) -> bool:
    """Return True if another pair or an unassigned plant could replace the pair, or nothing could, at little cost."""
    own = cost_NM[row, column]
    alternatives = [limit - own]
    alternatives += [
        cost_NM[row, other_column] + cost_NM[other_row, column] - own - cost_NM[other_row, other_column]
        for other_row, other_column in pairs
        if other_row != row
    ]
    assigned_rows, assigned_columns = {i for i, _ in pairs}, {j for _, j in pairs}
    alternatives += [cost_NM[row, j] - own for j in range(cost_NM.shape[1]) if j not in assigned_columns]
    alternatives += [cost_NM[i, column] - own for i in range(cost_NM.shape[0]) if i not in assigned_rows]
    return bool(min(alternatives) < _AMBIGUITY_MM2)

"""Histograms with fixed bins."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Histogram:
    """Counts of values in B bins. An edge belongs to the bin below it. The first and the last bin are unbounded."""

    edges: tuple[float, ...]
    """The B - 1 edges between the bins."""
    counts_B: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of values in all bins."""
        return sum(self.counts_B)

    def cumulative_count(self, edge: float) -> int:
        """Return the number of values up to `edge`, which must be one of the edges."""
        return sum(self.counts_B[: self.edges.index(edge) + 1])

    def merge(self, later: Self) -> Self:
        """Return the sum of this histogram and a later one.

        If the bins differ after an upgrade of a facade, the result is the later histogram alone.
        """
        if self.edges != later.edges:
            return later
        return type(self)(self.edges, tuple(a + b for a, b in zip(self.counts_B, later.counts_B, strict=True)))

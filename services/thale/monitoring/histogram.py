"""Histogram."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Histogram:
    """A histogram: how many values lie in each of B bins. An edge belongs to the bin below it; the ends are open."""

    edges: tuple[float, ...]
    """B - 1 of them, between the bins."""
    counts_B: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts_B)

    def cumulative_count(self, edge: float) -> int:
        """Return how many values are at most `edge`, which must be one of the edges."""
        return sum(self.counts_B[: self.edges.index(edge) + 1])

    def merge(self, later: Self) -> Self:
        """Return this stretch and the one after it as one; other bins (a facade was upgraded) begin anew."""
        if self.edges != later.edges:
            return later
        return type(self)(self.edges, tuple(a + b for a, b in zip(self.counts_B, later.counts_B, strict=True)))

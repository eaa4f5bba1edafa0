"""Differences of two model versions on one image, as data. The facade imports it without SciPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShadowDifference:
    """Differences between the predictions of stable and shadow on one plate."""

    dice: Mapping[str, float] = field(default_factory=dict)
    """Dice coefficient of each organ that at least one version predicts."""
    landmark_px: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Distances of matched landmarks, by kind."""
    landmark_f1: float | None = None
    """F1 score of the landmarks; None if neither version predicts any."""
    traits: Mapping[str, float] = field(default_factory=dict)
    """Relative differences of a plate's main traits; 1 if only one version has a value for the trait."""

    @property
    def agreement_score(self) -> float:
        """Minimum of all scores: 1 for identical predictions, 0 or less for no agreement."""
        f1_scores = [] if self.landmark_f1 is None else [self.landmark_f1]
        return min(
            [*self.dice.values(), *f1_scores, *(1 - difference for difference in self.traits.values())], default=1.0
        )

"""What has been heard of a canary since its rollout began: all that a watcher has to keep to go on after a restart."""

from typing import Self

from thale.contract import Record, Release
from thale.release.sequential import Evidence
from thale.release.signals import Window
from thale.release.slo import Slo


class Trial(Record):
    """A rollout as the judge remembers it: `model_dump_json()` to keep it, `model_validate_json()` to go on."""

    model: str
    canary: str
    stable: str
    weight_percent: float
    step: Window = Window()
    """What has been heard since this step began."""
    evidence: dict[str, Evidence] = {}

    @classmethod
    def begin(cls, release: Release) -> Self:
        """Return the trial of a release's canary, of which nothing has been heard yet.

        Raises:
            PlanError: If there is no canary.
        """
        raise NotImplementedError

    def heard(self, release: Release, window: Window, slo: Slo) -> Self:
        """Return the trial with what was heard since the last time.

        A release whose weight has changed begins a step anew; one with another canary or another stable version
        begins a trial anew.
        """
        raise NotImplementedError

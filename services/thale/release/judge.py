"""What should become of a canary now: next step, wait, or back. Pure: a release and its trial in, a verdict out."""

from thale.contract import Release, Verdict
from thale.release.slo import Slo
from thale.release.trial import Trial


def judge(release: Release, trial: Trial, slo: Slo) -> Verdict:
    """Return the verdict on a release's canary, from what its trial has heard so far.

    Raises:
        PlanError: If there is no canary.
    """
    raise NotImplementedError

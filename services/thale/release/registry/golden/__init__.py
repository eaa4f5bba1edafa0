"""Golden plates: three small drawn plates with their truth, that a model version answers before anybody relies on it.

`ask` has a model server answer them, `check` holds the answers against the truth and against the answers that came
with the model's archive, and `warm_up` waits for a version that is just being loaded until it has answered them all.
"""

from thale.release.registry.golden.acceptance import AcceptanceCriteria, check_acceptance
from thale.release.registry.golden.client import predict_golden_plates, warm_up
from thale.release.registry.golden.plates import GoldenPlate, golden_plates
from thale.release.registry.golden.records import GoldenPrediction, GoldenPredictions
from thale.release.registry.golden.summary import summarise

__all__ = [
    "AcceptanceCriteria",
    "GoldenPrediction",
    "GoldenPredictions",
    "GoldenPlate",
    "predict_golden_plates",
    "check_acceptance",
    "golden_plates",
    "summarise",
    "warm_up",
]

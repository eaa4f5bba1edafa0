"""Golden plates: three small synthetic plates with known truth that each version must pass (ADR 0022).

`predict_golden_plates` sends them to a model server. `check_acceptance` compares the predictions with the truth and
with the golden predictions of the archive. `warm_up` waits until a version that is being loaded has predicted them all.
"""

from thale.release.registry.golden.acceptance import AcceptanceCriteria, check_acceptance
from thale.release.registry.golden.client import predict_golden_plates, warm_up
from thale.release.registry.golden.plates import GoldenPlate, golden_plates
from thale.release.registry.golden.summary import summarise
from thale.release.registry.golden_predictions import GoldenPrediction, GoldenPredictions

__all__ = [
    "AcceptanceCriteria",
    "GoldenPlate",
    "GoldenPrediction",
    "GoldenPredictions",
    "check_acceptance",
    "golden_plates",
    "predict_golden_plates",
    "summarise",
    "warm_up",
]

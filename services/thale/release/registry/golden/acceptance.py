"""Acceptance of a version on the golden plates: against the truth, and against its golden predictions."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thale.errors import RegistrationError
from thale.monitoring.scoring import DiceCounter, PointMatchCounter, match_points
from thale.release.registry.golden.plates import ORGANS, GoldenPlate, golden_plates
from thale.release.registry.golden_predictions import GoldenPrediction, GoldenPredictions
from thale.schemas import Landmark, ModelCard

MIN_REPRODUCIBLE_SCORE = 0.35
"""Below this score, landmarks depend on the processor's arithmetic. The threshold of the models is 0.3."""

_MATCH_RADIUS_MM = 1.0
_AREA_SLACK_PX = 10
"""Absolute tolerance of an area, added to the relative one. The seeds of a plate have about 50 px."""


@dataclass(frozen=True)
class AcceptanceCriteria:
    """Minimum scores and tolerances, pooled over the golden plates. The default models score about 0.9."""

    min_dice: Mapping[str, float] = field(default_factory=lambda: {"root": 0.5, "shoot": 0.5})
    """Minimum Dice score against the truth by organ. Seeds are too small for a limit."""
    min_f1: float = 0.3
    """Minimum F1 of a landmark model, pooled over all kinds, with a match radius of 1 mm."""
    max_dice_drop: float = 0.02
    """Maximum decrease of the Dice score against the golden predictions."""
    area_tolerance: float = 0.02
    """Maximum relative difference of an area from the golden predictions. Numerics differ between processors."""
    landmark_tolerance_px: float = 0.5
    """Maximum distance of a landmark from its position in the golden predictions."""


def check_acceptance(
    card: ModelCard,
    predictions: Sequence[GoldenPrediction],
    reference: GoldenPredictions | None,
    criteria: AcceptanceCriteria | None = None,
) -> dict[str, float]:
    """Return the scores of the predictions: `dice_root`, …, `landmark_f1`.

    Args:
        card: The card of the version.
        predictions: One prediction for each golden plate.
        reference: The golden predictions of the archive, if any. Predictions on plates of another version of thale are
            ignored.
        criteria: The acceptance criteria, by default `AcceptanceCriteria()`.

    Raises:
        RegistrationError: If the predictions contradict the card, score too low, or differ from the reference.
    """
    criteria = criteria or AcceptanceCriteria()
    reference_by_plate = (
        {prediction.plate_sha256: prediction for prediction in reference.answers} if reference is not None else {}
    )
    pairs = [(plate, prediction) for plate, prediction in zip(golden_plates(), predictions, strict=True)]
    faults = [fault for _, prediction in pairs for fault in _card_violations(card, prediction)]
    if not faults:
        faults = [*_empty_predictions(card, pairs), *_scores_below_minimum(card, pairs, criteria)]
        for plate, prediction in pairs:
            if plate.digest in reference_by_plate:
                faults += _reference_differences(plate, reference_by_plate[plate.digest], prediction, criteria)
        faults += _score_regressions(pairs, reference_by_plate, criteria)
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise RegistrationError(
            f"{card.name} {card.version} fails the golden plates:\n{listed}\n"
            "Train it further, or archive the weights of its card and golden predictions"
        )
    return _compute_metrics(pairs)


def _card_violations(card: ModelCard, prediction: GoldenPrediction) -> list[str]:
    """Return how a prediction contradicts the card: another model, or other classes."""
    model = prediction.model
    faults = []
    if (model.name, model.version, model.digest) != (card.name, card.version, f"sha256:{card.weights_sha256}"):
        faults.append(f"{prediction.plate}: predicted by {model.name} {model.version} with the weights {model.digest}")
    if card.task == "segmentation" and prediction.classes != card.classes:
        faults.append(f"{prediction.plate}: predicted classes {prediction.classes}, but {card.classes} in the card")
    unknown_kinds = sorted({mark.kind for mark in prediction.landmarks} - set(card.classes))
    if unknown_kinds:
        faults.append(f"{prediction.plate}: the card does not contain {' and '.join(unknown_kinds)}")
    return faults


_Pairs = Sequence[tuple[GoldenPlate, GoldenPrediction]]


def _empty_predictions(card: ModelCard, pairs: _Pairs) -> list[str]:
    """Return a fault if the model detects none of its classes on any plate."""
    if card.task == "segmentation":
        known = set(card.classes) & set(ORGANS)
        count = sum(prediction.area_px[organ] for _, prediction in pairs for organ in known)
    else:
        known = set(card.classes) & {mark.kind for plate, _ in pairs for mark in plate.landmarks}
        count = sum(mark.kind in known for _, prediction in pairs for mark in prediction.landmarks)
    return [f"the plates contain {', '.join(sorted(known))}, and the model detects none"] if known and not count else []


def _scores_below_minimum(card: ModelCard, pairs: _Pairs, criteria: AcceptanceCriteria) -> list[str]:
    """Return the scores against the truth that are below their minimum."""
    faults = []
    for organ, min_dice in criteria.min_dice.items():
        if organ in card.classes and (dice := _pool_overlap(pairs, organ).dice) < min_dice:
            faults.append(f"Dice of {organ} is {dice:.3f}, below the minimum of {min_dice:g}")
    kinds = set(card.classes) & {mark.kind for plate, _ in pairs for mark in plate.landmarks}
    if card.task == "landmarks" and kinds and (f1 := _pool_matches(pairs, kinds).f1) < criteria.min_f1:
        faults.append(f"F1 of the landmarks is {f1:.3f}, below the minimum of {criteria.min_f1:g}")
    return faults


def _score_regressions(
    pairs: _Pairs, reference_by_plate: Mapping[str, GoldenPrediction], criteria: AcceptanceCriteria
) -> list[str]:
    """Return the organs whose Dice score is lower than when the model was archived."""
    current_pairs = [(plate, prediction) for plate, prediction in pairs if plate.digest in reference_by_plate]
    reference_pairs = [(plate, reference_by_plate[plate.digest]) for plate, _ in current_pairs]
    faults = []
    for organ in criteria.min_dice:
        current_dice, reference_dice = (
            _pool_overlap(current_pairs, organ).dice,
            _pool_overlap(reference_pairs, organ).dice,
        )
        if current_dice < reference_dice - criteria.max_dice_drop:
            faults.append(
                f"Dice of {organ} is {current_dice:.3f}, and was {reference_dice:.3f} when the model was archived"
            )
    return faults


def _reference_differences(
    plate: GoldenPlate, reference: GoldenPrediction, prediction: GoldenPrediction, criteria: AcceptanceCriteria
) -> list[str]:
    """Return how a prediction differs from the reference by more than the tolerances."""
    faults = []
    for organ, area in reference.area_px.items():
        current_area = prediction.area_px.get(organ, 0)
        if abs(current_area - area) > criteria.area_tolerance * area + _AREA_SLACK_PX:
            faults.append(f"{plate.name}: {current_area} px of {organ}, and {area} px when the model was archived")
    for kind in sorted({mark.kind for mark in (*reference.landmarks, *prediction.landmarks)}):
        reference_marks, current_marks = _of_kind(reference.landmarks, kind), _of_kind(prediction.landmarks, kind)
        matches = match_points(
            _coordinates(reference_marks), _coordinates(current_marks), criteria.landmark_tolerance_px
        )
        lost = [mark for index, mark in enumerate(reference_marks) if index not in {pair[0] for pair in matches}]
        new = [mark for index, mark in enumerate(current_marks) if index not in {pair[1] for pair in matches}]
        for change, marks in (("is missing", lost), ("is new", new)):
            faults += [
                f"{plate.name}: the {kind} at x {mark.x:g}, y {mark.y:g} (score {mark.score:g}) {change} since the "
                f"model was archived, or has moved by more than {criteria.landmark_tolerance_px:g} px"
                for mark in marks
                if mark.score >= MIN_REPRODUCIBLE_SCORE
            ]
    return faults


def _compute_metrics(pairs: _Pairs) -> dict[str, float]:
    organs = [organ for organ in ORGANS if any(organ in prediction.dice for _, prediction in pairs)]
    metrics = {f"dice_{organ}": round(_pool_overlap(pairs, organ).dice, 4) for organ in organs}
    kinds = {mark.kind for _, prediction in pairs for mark in prediction.landmarks}
    return metrics | ({"landmark_f1": round(_pool_matches(pairs, kinds).f1, 4)} if kinds else {})


def _pool_overlap(pairs: _Pairs, organ: str) -> DiceCounter:
    """Return the overlap of an organ with the truth, pooled over the plates."""
    pooled = DiceCounter()
    for plate, prediction in pairs:
        area, true = prediction.area_px.get(organ, 0), int(np.count_nonzero(plate.mask_HW == ORGANS.index(organ) + 1))
        pooled.predicted += area
        pooled.true += true
        pooled.intersection += round(prediction.dice.get(organ, 0.0) * (area + true) / 2)
    return pooled


def _pool_matches(pairs: _Pairs, kinds: Set[str]) -> PointMatchCounter:
    """Return the matches of landmarks with the true landmarks of the same kind, pooled over kinds and plates."""
    pooled = PointMatchCounter()
    for plate, prediction in pairs:
        for kind in kinds:
            found, true = _of_kind(prediction.landmarks, kind), _of_kind(plate.landmarks, kind)
            pooled.add(_coordinates(found), _coordinates(true), plate.mm_per_px, _MATCH_RADIUS_MM)
    return pooled


def _of_kind(landmarks: Sequence[Landmark], kind: str) -> list[Landmark]:
    return [mark for mark in landmarks if mark.kind == kind]


def _coordinates(landmarks: Sequence[Landmark]) -> NDArray[np.float64]:
    return np.array([(mark.x, mark.y) for mark in landmarks], float).reshape(-1, 2)

"""Are the answers good enough to be released? Held against the truth, and against what the model answered before."""

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
"""Landmarks below this come and go with a processor's arithmetic: the models' threshold is 0.3."""

_MATCH_RADIUS_MM = 1.0
_AREA_SLACK_PX = 10
"""Of an area, beside its tolerance: the seeds of a plate have 50 pixels."""


@dataclass(frozen=True)
class AcceptanceCriteria:
    """What answers must reach. Figures are pooled over the golden plates, and a default model has about 0.9."""

    min_dice: Mapping[str, float] = field(default_factory=lambda: {"root": 0.5, "shoot": 0.5})
    """Against the truth, by organ; seeds are too small to demand anything."""
    min_f1: float = 0.3
    """Of a landmark model's kinds together, at 1 mm."""
    max_dice_drop: float = 0.02
    """How much worse than the model's own golden predictions."""
    area_tolerance: float = 0.02
    """Share of an own answer's area; numerics differ between processors."""
    landmark_tolerance_px: float = 0.5
    """From the own answer's place."""


def check_acceptance(
    card: ModelCard,
    answers: Sequence[GoldenPrediction],
    reference: GoldenPredictions | None,
    criteria: AcceptanceCriteria | None = None,
) -> dict[str, float]:
    """Return the figures that the answers reach: `dice_root`, …, `landmark_f1`.

    Args:
        card: What the model promises.
        answers: What it said, a line for each golden plate.
        own: What it said when it was archived, if that is known. Answers about plates of another version of thale
            are left aside.
        demands: What must be reached; the defaults if not given.

    Raises:
        RegistrationError: If the answers are nonsense, worse than demanded, or not the model's own.
    """
    criteria = criteria or AcceptanceCriteria()
    reference_by_plate = {answer.plate_sha256: answer for answer in reference.answers} if reference is not None else {}
    pairs = [(plate, answer) for plate, answer in zip(golden_plates(), answers, strict=True)]
    faults = [fault for _, answer in pairs for fault in _card_violations(card, answer)]
    if not faults:
        faults = [*_empty_predictions(card, pairs), *_scores_below_minimum(card, pairs, criteria)]
        for plate, answer in pairs:
            if plate.digest in reference_by_plate:
                faults += _reference_differences(plate, reference_by_plate[plate.digest], answer, criteria)
        faults += _score_regressions(pairs, reference_by_plate, criteria)
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise RegistrationError(
            f"{card.name} {card.version} does not answer the golden plates as it should:\n{listed}\n"
            "Train it further, or archive the weights that its card and golden predictions were made with"
        )
    return _compute_metrics(pairs)


def _card_violations(card: ModelCard, answer: GoldenPrediction) -> list[str]:
    """Return what an answer says otherwise than its card: of whom it is, and what is told apart."""
    model = answer.model
    faults = []
    if (model.name, model.version, model.digest) != (card.name, card.version, f"sha256:{card.weights_sha256}"):
        faults.append(f"{answer.plate}: answered by {model.name} {model.version} with the weights {model.digest}")
    if card.task == "segmentation" and answer.classes != card.classes:
        faults.append(f"{answer.plate}: the answer tells apart {answer.classes}, the card {card.classes}")
    unknown_kinds = sorted({mark.kind for mark in answer.landmarks} - set(card.classes))
    if unknown_kinds:
        faults.append(f"{answer.plate}: the card knows no {' and no '.join(unknown_kinds)}")
    return faults


_Pairs = Sequence[tuple[GoldenPlate, GoldenPrediction]]


def _empty_predictions(card: ModelCard, pairs: _Pairs) -> list[str]:
    """Return a fault where a model that knows what grows on the plates sees nothing on any of them."""
    if card.task == "segmentation":
        known = set(card.classes) & set(ORGANS)
        count = sum(answer.area_px[organ] for _, answer in pairs for organ in known)
    else:
        known = set(card.classes) & {mark.kind for plate, _ in pairs for mark in plate.landmarks}
        count = sum(mark.kind in known for _, answer in pairs for mark in answer.landmarks)
    return [f"the plates show {', '.join(sorted(known))}, and the model sees none of it"] if known and not count else []


def _scores_below_minimum(card: ModelCard, pairs: _Pairs, criteria: AcceptanceCriteria) -> list[str]:
    """Return where the answers are further from the truth than any released model may be."""
    faults = []
    for organ, min_dice in criteria.min_dice.items():
        if organ in card.classes and (dice := _pool_overlap(pairs, organ).dice) < min_dice:
            faults.append(f"Dice of {organ} is {dice:.3f}, at least {min_dice:g} is demanded")
    kinds = set(card.classes) & {mark.kind for plate, _ in pairs for mark in plate.landmarks}
    if card.task == "landmarks" and kinds and (f1 := _pool_matches(pairs, kinds).f1) < criteria.min_f1:
        faults.append(f"F1 of the landmarks is {f1:.3f}, at least {criteria.min_f1:g} is demanded")
    return faults


def _score_regressions(
    pairs: _Pairs, reference_by_plate: Mapping[str, GoldenPrediction], criteria: AcceptanceCriteria
) -> list[str]:
    """Return the organs that are told apart worse than when the model was archived."""
    current_pairs = [(plate, answer) for plate, answer in pairs if plate.digest in reference_by_plate]
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
    plate: GoldenPlate, reference: GoldenPrediction, answer: GoldenPrediction, criteria: AcceptanceCriteria
) -> list[str]:
    """Return how an answer differs from the model's own by more than a processor's arithmetic."""
    faults = []
    for organ, area in reference.area_px.items():
        current_area = answer.area_px.get(organ, 0)
        if abs(current_area - area) > criteria.area_tolerance * area + _AREA_SLACK_PX:
            faults.append(f"{plate.name}: {current_area} px of {organ}, and {area} px when the model was archived")
    for kind in sorted({mark.kind for mark in (*reference.landmarks, *answer.landmarks)}):
        reference_marks, current_marks = _of_kind(reference.landmarks, kind), _of_kind(answer.landmarks, kind)
        same = match_points(_coordinates(reference_marks), _coordinates(current_marks), criteria.landmark_tolerance_px)
        lost = [mark for index, mark in enumerate(reference_marks) if index not in {pair[0] for pair in same}]
        new = [mark for index, mark in enumerate(current_marks) if index not in {pair[1] for pair in same}]
        for change, marks in (("is missing", lost), ("is new", new)):
            faults += [
                f"{plate.name}: the {kind} at x {mark.x:g}, y {mark.y:g} (score {mark.score:g}) {change} since the model "
                f"was archived, or lies more than {criteria.landmark_tolerance_px:g} px elsewhere"
                for mark in marks
                if mark.score >= MIN_REPRODUCIBLE_SCORE
            ]
    return faults


def _compute_metrics(pairs: _Pairs) -> dict[str, float]:
    organs = [organ for organ in ORGANS if any(organ in answer.dice for _, answer in pairs)]
    metrics = {f"dice_{organ}": round(_pool_overlap(pairs, organ).dice, 4) for organ in organs}
    kinds = {mark.kind for _, answer in pairs for mark in answer.landmarks}
    return metrics | ({"landmark_f1": round(_pool_matches(pairs, kinds).f1, 4)} if kinds else {})


def _pool_overlap(pairs: _Pairs, organ: str) -> DiceCounter:
    """Return an organ's overlap with the truth, pooled over the plates."""
    pooled = DiceCounter()
    for plate, answer in pairs:
        area, true = answer.area_px.get(organ, 0), int(np.count_nonzero(plate.mask_HW == ORGANS.index(organ) + 1))
        pooled.predicted += area
        pooled.true += true
        pooled.intersection += round(answer.dice.get(organ, 0.0) * (area + true) / 2)
    return pooled


def _pool_matches(pairs: _Pairs, kinds: Set[str]) -> PointMatchCounter:
    """Return the matches of landmarks with the truth, kind by kind, pooled over kinds and plates."""
    pooled = PointMatchCounter()
    for plate, answer in pairs:
        for kind in kinds:
            found, true = _of_kind(answer.landmarks, kind), _of_kind(plate.landmarks, kind)
            pooled.add(_coordinates(found), _coordinates(true), plate.mm_per_px, _MATCH_RADIUS_MM)
    return pooled


def _of_kind(landmarks: Sequence[Landmark], kind: str) -> list[Landmark]:
    return [mark for mark in landmarks if mark.kind == kind]


def _coordinates(landmarks: Sequence[Landmark]) -> NDArray[np.float64]:
    return np.array([(mark.x, mark.y) for mark in landmarks], float).reshape(-1, 2)

"""Are the answers good enough to be released? Held against the truth, and against what the model answered before."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thale.errors import RegistrationError
from thale.monitoring.scoring import Matches, Overlap, match_points
from thale.release.registry.golden.plates import ORGANS, GoldenPlate, golden_plates
from thale.release.registry.golden.records import GoldenAnswer, GoldenAnswers
from thale.schemas import Card, Landmark

FIRM_SCORE = 0.35
"""Landmarks below this come and go with a processor's arithmetic: the models' threshold is 0.3."""

_SAME_POINT_MM = 1.0
_SLACK_PX = 10
"""Of an area, beside its tolerance: the seeds of a plate have 50 pixels."""


@dataclass(frozen=True)
class Demands:
    """What answers must reach. Figures are pooled over the golden plates, and a default model has about 0.9."""

    least_dice: Mapping[str, float] = field(default_factory=lambda: {"root": 0.5, "shoot": 0.5})
    """Against the truth, by organ; seeds are too small to demand anything."""
    least_f1: float = 0.3
    """Of a landmark model's kinds together, at 1 mm."""
    dice_loss: float = 0.02
    """How much worse than the model's own golden answers."""
    area_tolerance: float = 0.02
    """Share of an own answer's area; numerics differ between processors."""
    landmark_px: float = 0.5
    """From the own answer's place."""


def check(
    card: Card, answers: Sequence[GoldenAnswer], own: GoldenAnswers | None, demands: Demands | None = None
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
    demands = demands or Demands()
    before = {answer.plate_sha256: answer for answer in own.answers} if own is not None else {}
    pairs = [(plate, answer) for plate, answer in zip(golden_plates(), answers, strict=True)]
    faults = [fault for _, answer in pairs for fault in _broken_promises(card, answer)]
    if not faults:
        faults = [*_empty(card, pairs), *_low(card, pairs, demands)]
        for plate, answer in pairs:
            if plate.digest in before:
                faults += _differences(plate, before[plate.digest], answer, demands)
        faults += _losses(pairs, before, demands)
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise RegistrationError(
            f"{card.name} {card.version} does not answer the golden plates as it should:\n{listed}\n"
            "Train it further, or archive the weights that its card and golden answers were made with"
        )
    return _figures(pairs)


def _broken_promises(card: Card, answer: GoldenAnswer) -> list[str]:
    """Return what an answer says otherwise than its card: of whom it is, and what is told apart."""
    told = answer.model
    faults = []
    if (told.name, told.version, told.digest) != (card.name, card.version, f"sha256:{card.weights_sha256}"):
        faults.append(f"{answer.plate}: answered by {told.name} {told.version} with the weights {told.digest}")
    if card.task == "segmentation" and answer.classes != card.classes:
        faults.append(f"{answer.plate}: the answer tells apart {answer.classes}, the card {card.classes}")
    strangers = sorted({mark.kind for mark in answer.landmarks} - set(card.classes))
    if strangers:
        faults.append(f"{answer.plate}: the card knows no {' and no '.join(strangers)}")
    return faults


_Pairs = Sequence[tuple[GoldenPlate, GoldenAnswer]]


def _empty(card: Card, pairs: _Pairs) -> list[str]:
    """Return a fault where a model that knows what grows on the plates sees nothing on any of them."""
    if card.task == "segmentation":
        known = set(card.classes) & set(ORGANS)
        seen = sum(answer.area_px[organ] for _, answer in pairs for organ in known)
    else:
        known = set(card.classes) & {mark.kind for plate, _ in pairs for mark in plate.landmarks}
        seen = sum(mark.kind in known for _, answer in pairs for mark in answer.landmarks)
    return [f"the plates show {', '.join(sorted(known))}, and the model sees none of it"] if known and not seen else []


def _low(card: Card, pairs: _Pairs, demands: Demands) -> list[str]:
    """Return where the answers are further from the truth than any released model may be."""
    faults = []
    for organ, least in demands.least_dice.items():
        if organ in card.classes and (dice := _overlap(pairs, organ).dice) < least:
            faults.append(f"Dice of {organ} is {dice:.3f}, at least {least:g} is demanded")
    kinds = set(card.classes) & {mark.kind for plate, _ in pairs for mark in plate.landmarks}
    if card.task == "landmarks" and kinds and (f1 := _matches(pairs, kinds).f1) < demands.least_f1:
        faults.append(f"F1 of the landmarks is {f1:.3f}, at least {demands.least_f1:g} is demanded")
    return faults


def _losses(pairs: _Pairs, before: Mapping[str, GoldenAnswer], demands: Demands) -> list[str]:
    """Return the organs that are told apart worse than when the model was archived."""
    again = [(plate, answer) for plate, answer in pairs if plate.digest in before]
    then = [(plate, before[plate.digest]) for plate, _ in again]
    faults = []
    for organ in demands.least_dice:
        now, once = _overlap(again, organ).dice, _overlap(then, organ).dice
        if now < once - demands.dice_loss:
            faults.append(f"Dice of {organ} is {now:.3f}, and was {once:.3f} when the model was archived")
    return faults


def _differences(plate: GoldenPlate, own: GoldenAnswer, answer: GoldenAnswer, demands: Demands) -> list[str]:
    """Return how an answer differs from the model's own by more than a processor's arithmetic."""
    faults = []
    for organ, area in own.area_px.items():
        given = answer.area_px.get(organ, 0)
        if abs(given - area) > demands.area_tolerance * area + _SLACK_PX:
            faults.append(f"{plate.name}: {given} px of {organ}, and {area} px when the model was archived")
    for kind in sorted({mark.kind for mark in (*own.landmarks, *answer.landmarks)}):
        once, now = _of_kind(own.landmarks, kind), _of_kind(answer.landmarks, kind)
        same = match_points(_places(once), _places(now), demands.landmark_px)
        lost = [mark for index, mark in enumerate(once) if index not in {pair[0] for pair in same}]
        new = [mark for index, mark in enumerate(now) if index not in {pair[1] for pair in same}]
        for what, marks in (("is missing", lost), ("is new", new)):
            faults += [
                f"{plate.name}: the {kind} at x {mark.x:g}, y {mark.y:g} (score {mark.score:g}) {what} since the model "
                f"was archived, or lies more than {demands.landmark_px:g} px elsewhere"
                for mark in marks
                if mark.score >= FIRM_SCORE
            ]
    return faults


def _figures(pairs: _Pairs) -> dict[str, float]:
    organs = [organ for organ in ORGANS if any(organ in answer.dice for _, answer in pairs)]
    figures = {f"dice_{organ}": round(_overlap(pairs, organ).dice, 4) for organ in organs}
    kinds = {mark.kind for _, answer in pairs for mark in answer.landmarks}
    return figures | ({"landmark_f1": round(_matches(pairs, kinds).f1, 4)} if kinds else {})


def _overlap(pairs: _Pairs, organ: str) -> Overlap:
    """Return an organ's overlap with the truth, pooled over the plates."""
    pooled = Overlap()
    for plate, answer in pairs:
        area, true = answer.area_px.get(organ, 0), int(np.count_nonzero(plate.mask_HW == ORGANS.index(organ) + 1))
        pooled.predicted += area
        pooled.true += true
        pooled.both += round(answer.dice.get(organ, 0.0) * (area + true) / 2)
    return pooled


def _matches(pairs: _Pairs, kinds: Set[str]) -> Matches:
    """Return the matches of landmarks with the truth, kind by kind, pooled over kinds and plates."""
    pooled = Matches()
    for plate, answer in pairs:
        for kind in kinds:
            found, true = _of_kind(answer.landmarks, kind), _of_kind(plate.landmarks, kind)
            pooled.add(_places(found), _places(true), plate.mm_per_px, _SAME_POINT_MM)
    return pooled


def _of_kind(landmarks: Sequence[Landmark], kind: str) -> list[Landmark]:
    return [mark for mark in landmarks if mark.kind == kind]


def _places(landmarks: Sequence[Landmark]) -> NDArray[np.float64]:
    return np.array([(mark.x, mark.y) for mark in landmarks], float).reshape(-1, 2)

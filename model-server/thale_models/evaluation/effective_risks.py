"""Effective risks: the risk of each value after deciding flags and dependencies, and the limits of `ok` that follow.

A value is `ok` if and only if its effective risk is at most the limit: the largest of its own risk and of the risks of
all traits on which it depends, or infinity with a deciding flag. For calibrated risks, one limit for all traits gives
the most right values for a share of wrong ones (Neyman-Pearson lemma). Traits that are rarely wrong would then have
most of the wrong values that are `ok`. Each group of traits therefore has a cap of the limit as well (ADR 0127).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from thale.phenotyping.traits.dependencies import DEPENDENCIES, PLATE_DEPENDENCIES
from thale.phenotyping.traits.table import PLANT_TRAITS
from thale.phenotyping.traits.tolerance import is_right
from thale_models.evaluation.trait_records import UNPOOLED_TRAITS, TraitRecord

RecordKey = tuple[str, int, int | None]
RiskTable = Mapping[RecordKey, Mapping[str, float]]

MAX_WRONG_OK = 0.05
"""Largest share of the wrong values with the quality `ok`, over all traits."""
MAX_GROUP_WRONG_OK = 0.1
"""The same over the traits of one group of `_GROUPS`."""
MAX_PRIMARY_WRONG_OK = 0.05
"""The same over the length of the primary root alone, because most traits depend on it."""
CAP_RANGE = (0.05, 0.3)
"""Range of the caps. A risk of less than 5 % is as good as certain, whatever the other values of the group. With a risk
of more than 30 %, no value is `ok`, even if most values of the group are wrong."""
_GROUPS = ("primary", "extent", "laterals", "plate", "unpooled")
_EXTENT_TRAITS = ("root_system_width", "root_system_depth", "root_width_depth_ratio", "convex_hull_area")
_PRIMARY_TRAITS = {trait.name for trait in PLANT_TRAITS if trait.basis == "primary"}
_PRIMARY_LENGTH = "primary_root_length"
NO_CAPS: Mapping[str, float] = MappingProxyType({})

TRADE_OFF_SHARES = (0.02, 0.05, 0.08, 0.1)
"""Shares of the wrong values that are `ok`, for which the trade-off has the share of the right ones."""


@dataclass(frozen=True)
class RiskedValue:
    """One value of a plant or a plate with its effective risk. It is wrong outside its tolerance."""

    trait: str
    risk: float
    is_wrong: bool


def key_of(record: TraitRecord) -> RecordKey:
    """Return the plate, the copy and the plant of a record."""
    return record.plate, record.copy, record.plant


def effective_risks(
    records: Sequence[TraitRecord], risks: RiskTable, evidence_flags: Sequence[str], caps: Mapping[str, float] = NO_CAPS
) -> list[RiskedValue]:
    """Return the values of all records with their effective risks.

    Args:
        records: Records of whole plates.
        risks: The risk of each trait by record. Traits without a risk have quality by flags alone.
        evidence_flags: Flags that do not decide.
        caps: Caps of the risk by trait. A value above its cap is never `ok`: its effective risk is infinite.
    """
    plates: dict[tuple[str, int], list[TraitRecord]] = defaultdict(list)
    for record in records:
        plates[record.plate, record.copy].append(record)
    capped = {
        key: {trait: risk if risk <= caps.get(trait, math.inf) else math.inf for trait, risk in own.items()}
        for key, own in risks.items()
    }
    return [value for plate in plates.values() for value in _risked_values(plate, capped, frozenset(evidence_flags))]


def _risked_values(
    plate: Sequence[TraitRecord], risks: RiskTable, evidence_flags: frozenset[str]
) -> Iterator[RiskedValue]:
    plants: list[dict[str, float]] = []
    for record in sorted(plate, key=lambda each: each.plant is None):
        own = _own_risks(record, risks[key_of(record)], evidence_flags)
        if record.plant is None:
            effective = {
                trait: max(
                    [
                        risk,
                        *(
                            plant[name]
                            for name in PLATE_DEPENDENCIES.get(trait, ())
                            for plant in plants
                            if name in plant
                        ),
                    ]
                )
                for trait, risk in own.items()
            }
        else:
            effective = {trait: _with_dependencies(trait, own) for trait in own}
            plants.append({trait: effective[trait] for trait in record.values})
        for trait, (value, true, _) in record.values.items():
            yield RiskedValue(trait, effective[trait], not is_right(trait, value, true))


def _own_risks(record: TraitRecord, risks: Mapping[str, float], evidence_flags: frozenset[str]) -> dict[str, float]:
    """Return the risk of each trait by itself: infinite with a deciding flag, or if the value is unknown."""
    own = {trait: math.inf for trait in record.flags if trait not in record.values}
    for trait, (_, _, quality) in record.values.items():
        flags = set(record.flags.get(trait, ()))
        is_decided = quality != "ok" and (trait not in risks or not flags <= evidence_flags)
        own[trait] = math.inf if is_decided else risks.get(trait, 0.0)
    return own


def _with_dependencies(trait: str, own: Mapping[str, float]) -> float:
    needed = [_with_dependencies(name, own) for name in DEPENDENCIES.get(trait, ()) if name in own]
    return max([own[trait], *needed])


def select_limits(
    records: Sequence[TraitRecord], risks: RiskTable, evidence_flags: Sequence[str], traits: Sequence[str]
) -> dict[str, float]:
    """Return the limit of `ok` of each trait: the common limit, or the cap of the trait's group if it is lower.

    The caps are selected first, in the order of the dependencies.
    """
    caps: dict[str, float] = {}
    for group in _GROUPS:
        members = {trait for trait in traits if _group_of(trait) == group}
        values = effective_risks(records, risks, evidence_flags, caps)
        cap = largest_limit([value for value in values if value.trait in members], MAX_GROUP_WRONG_OK)
        caps |= dict.fromkeys(members, min(max(cap, CAP_RANGE[0]), CAP_RANGE[1]))
        if _PRIMARY_LENGTH in members:
            lengths = [value for value in values if value.trait == _PRIMARY_LENGTH]
            cap = largest_limit(lengths, MAX_PRIMARY_WRONG_OK)
            caps[_PRIMARY_LENGTH] = min(max(cap, CAP_RANGE[0]), CAP_RANGE[1])
    limit = largest_limit(root_values(effective_risks(records, risks, evidence_flags, caps)), MAX_WRONG_OK)
    return {trait: min(cap, limit) for trait, cap in caps.items()}


def root_values(values: Sequence[RiskedValue]) -> list[RiskedValue]:
    """Return the values of the traits over which scores are pooled."""
    return [value for value in values if value.trait not in UNPOOLED_TRAITS]


def _group_of(trait: str) -> str:
    if trait in UNPOOLED_TRAITS:
        return "unpooled"
    if trait in PLATE_DEPENDENCIES:
        return "plate"
    if trait in _PRIMARY_TRAITS:
        return "primary"
    return "extent" if trait in _EXTENT_TRAITS else "laterals"


def largest_limit(values: Sequence[RiskedValue], max_wrong_ok: float) -> float:
    """Return the largest limit of the risk for which at most this share of the wrong values is `ok`; 0 if none is."""
    wrong = np.sort([value.risk for value in values if value.is_wrong])
    allowed = math.floor(max_wrong_ok * len(wrong))
    finite = np.array([value.risk for value in values if math.isfinite(value.risk)])
    if allowed < len(wrong):
        finite = finite[finite < wrong[allowed]]
    return math.floor(float(finite.max(initial=0.0)) * 1e6) / 1e6


def right_ok_at(values: Sequence[RiskedValue], wrong_ok: float) -> float:
    """Return the share of the right values that are `ok` if few enough wrong ones are; NaN without any."""
    limit = largest_limit(values, wrong_ok)
    right = [value.risk <= limit for value in values if not value.is_wrong]
    return float(np.mean(right)) if right else math.nan


def trade_off_table(values: Sequence[RiskedValue]) -> str:
    """Return the share of the right values that are `ok` at each of `TRADE_OFF_SHARES`, as aligned text.

    Each trait has a limit of its own for each share; the last line has one limit for all traits.
    """
    groups: dict[str, list[RiskedValue]] = defaultdict(list)
    for value in values:
        groups[value.trait].append(value)
    lines = [
        f"{'right, ok, at wrong, ok of':32} {'n':>5} {'wrong':>6}" + "".join(f" {s:>6.0%}" for s in TRADE_OFF_SHARES)
    ]
    for name, group in [*groups.items(), ("all traits of roots", root_values(values))]:
        shares = "".join(f" {right_ok_at(group, share):>6.0%}" for share in TRADE_OFF_SHARES)
        lines.append(f"{name:32} {len(group):5} {sum(value.is_wrong for value in group):6}{shares}")
    return "\n".join(lines)

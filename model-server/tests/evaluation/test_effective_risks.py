"""Tests of effective risks: deciding flags, dependencies, caps, and the limits that follow."""

import math

import pytest

from thale_models.evaluation.effective_risks import (
    RiskedValue,
    effective_risks,
    key_of,
    largest_limit,
    right_ok_at,
    select_limits,
    trade_off_table,
)
from thale_models.evaluation.trait_records import TraitRecord

NAMES = ("primary_root_length", "lateral_root_length", "total_root_length")


def record(plant: int | None = 1, flags: tuple[str, ...] = (), **qualities: str) -> TraitRecord:
    """Return a record of right values, `ok` without flags."""
    names = NAMES if plant is not None else ("plate_total_root_length",)
    quality = "uncertain" if flags else "ok"
    values = {name: (10.0, 10.0, qualities.get(name, quality)) for name in names if qualities.get(name) != "unknown"}
    return TraitRecord("p", 0, plant, 0, {}, values, dict.fromkeys(names, flags))


def risks_of(records: list[TraitRecord], risks: list[dict[str, float]]) -> dict[str, float]:
    table = {key_of(each): risk for each, risk in zip(records, risks, strict=True)}
    return {value.trait: value.risk for value in effective_risks(records, table, ("compression",))}


def test_effective_risks_are_those_of_the_dependencies() -> None:
    own = {"primary_root_length": 0.1, "lateral_root_length": 0.4, "total_root_length": 0.2}
    found = risks_of([record(), record(None)], [own, {"plate_total_root_length": 0.3}])
    assert found == {**own, "total_root_length": 0.4, "plate_total_root_length": 0.4}


def test_effective_risks_are_infinite_with_a_deciding_flag() -> None:
    own = dict.fromkeys(NAMES, 0.1)
    assert set(risks_of([record(flags=("compression",))], [own]).values()) == {0.1}
    assert set(risks_of([record(flags=("compression", "no_plate"))], [own]).values()) == {math.inf}
    unmodelled = {"primary_root_length": 0.1, "lateral_root_length": 0.1}
    assert risks_of([record(flags=("compression",))], [unmodelled])["total_root_length"] == math.inf


def test_effective_risks_are_infinite_after_an_unknown_trait() -> None:
    found = risks_of([record(primary_root_length="unknown")], [dict.fromkeys(NAMES, 0.1)])
    assert found == {"lateral_root_length": 0.1, "total_root_length": math.inf}


def test_largest_limit_lets_few_enough_wrong_values_pass() -> None:
    values = [RiskedValue("t", risk, is_wrong) for risk, is_wrong in ((0.1, False), (0.2, True), (0.3, False))]
    values += [RiskedValue("t", 0.4, True), RiskedValue("t", math.inf, False)]
    assert [largest_limit(values, share) for share in (0.0, 0.5, 1.0)] == pytest.approx([0.1, 0.3, 0.4], abs=2e-6)
    assert right_ok_at([*values, RiskedValue("t", 0.05, False)], 0.0) == pytest.approx(0.5, abs=0.26)
    assert "33%" in trade_off_table(values)


def test_select_limits_caps_the_traits_of_the_primary_root() -> None:
    records, risks = [], {}
    for number in range(200):
        is_wrong = number % 10 == 0
        own = {"primary_root_length": 0.15 if is_wrong else 0.1 + 0.001 * (number % 60), "lateral_root_length": 0.2}
        values = {
            "primary_root_length": (10.0, 15.0 if is_wrong else 10.0, "ok"),
            "lateral_root_length": (9.0, 9.0, "ok"),
        }
        records.append(TraitRecord("p", number, 1, 0, {}, values, dict.fromkeys(own, ())))
        risks[key_of(records[-1])] = own
    limits = select_limits(records, risks, (), tuple(own))
    assert limits["primary_root_length"] < 0.15
    assert limits["lateral_root_length"] == pytest.approx(0.2)


def test_select_limits_caps_the_primary_length_most() -> None:
    # Of the wrong lengths, 8 % have a risk of 0.1: too many for the length alone, but not for its group or all traits.
    records, risks = [], {}
    for number in range(200):
        is_wrong = number % 2 == 0
        risk = 0.1 if number % 25 in (0, 2) or not is_wrong else 0.8
        own = {"primary_root_length": risk, "primary_tip_x": risk, "lateral_root_length": 0.9}
        values = {name: (10.0, 15.0 if is_wrong else 10.0, "ok") for name in own}
        values["lateral_root_length"] = (10.0, 15.0, "ok")
        records.append(TraitRecord("p", number, 1, 0, {}, values, dict.fromkeys(own, ())))
        risks[key_of(records[-1])] = own
    limits = select_limits(records, risks, (), tuple(own))
    assert limits["primary_root_length"] < 0.1

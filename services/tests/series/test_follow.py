"""Tests of whole series of drawn seedlings with known growth, identity and scale."""

import math

import pytest

from tests.support.drawn_series import BASES_MM, Camera, DrawnRoot, daily_series, photograph, with_versions
from thale.errors import ParameterError
from thale.schemas import Flag
from thale.series.follow import TimedPhenotype, follow_plate
from thale.series.schemas import GrowthRate, PlateSeries, Track

GROWING = [[10.0 + plant + (5.0 + 0.5 * plant) * day for plant in range(5)] for day in range(4)]
"""Five plants on four days. They grow by 5, 5.5, 6, 6.5 and 7 mm per day."""


def series_rate(track: Track, trait: str = "primary_root_length") -> GrowthRate:
    return next(rate for rate in track.growth if (rate.trait, rate.scope) == (trait, "series"))


def interval_rates(track: Track, trait: str = "primary_root_length") -> list[GrowthRate]:
    return [rate for rate in track.growth if (rate.trait, rate.scope) == (trait, "interval")]


def codes(flags: tuple[Flag, ...]) -> set[str]:
    return {flag.code for flag in flags}


def follow(photographs: list[TimedPhenotype]) -> PlateSeries:
    return follow_plate("026", photographs)


def test_follow_plate_recovers_known_growth() -> None:
    found = follow(daily_series(GROWING)[::-1])
    assert [photo.days for photo in found.photographs] == [0, 1, 2, 3]
    assert [series_rate(track).rate for track in found.tracks] == pytest.approx([5, 5.5, 6, 6.5, 7])
    assert {rate.quality for track in found.tracks for rate in interval_rates(track)} == {"ok"}
    assert [series_rate(track, "primary_tip_displacement").rate for track in found.tracks] == pytest.approx(
        [5, 5.5, 6, 6.5, 7]
    )
    assert {track.flags for track in found.tracks} == {()}
    assert found.flags == ()


def test_follow_plate_finds_plants_in_any_order() -> None:
    photographs = daily_series(GROWING)
    plants = photographs[1].phenotype.plants
    swapped = tuple(plants[i].model_copy(update={"id": number}) for number, i in enumerate((4, 2, 0, 3, 1), start=1))
    photographs[1] = TimedPhenotype(
        photographs[1].phenotype.model_copy(update={"plants": swapped}), photographs[1].timestamp, "shuffled.png"
    )
    found = follow(photographs)
    assert [track.observations[1].plant for track in found.tracks] == [3, 5, 2, 4, 1]
    assert [series_rate(track).rate for track in found.tracks] == pytest.approx([5, 5.5, 6, 6.5, 7])


def test_follow_plate_registers_moved_and_tilted_camera() -> None:
    cameras = [Camera(), Camera(corner_px=(400, 90)), Camera(tilt_deg=8.0), Camera(corner_px=(0, 0), tilt_deg=-5.0)]
    found = follow(daily_series(GROWING, cameras))
    assert len(found.tracks) == 5
    assert max(item.displacement_mm for track in found.tracks for item in track.observations[1:]) < 1e-6
    assert {track.flags for track in found.tracks} == {()}


def test_follow_plate_flags_confirmed_scale_change() -> None:
    cameras = [Camera(), Camera(), Camera(mm_per_px=0.2 / 3), Camera(mm_per_px=0.2 / 3)]
    found = follow(daily_series(GROWING, cameras))
    assert [codes(photo.flags) for photo in found.photographs] == [set(), set(), {"scale_changed"}, set()]
    [flag] = found.photographs[2].flags
    assert "0.1 mm/px (plate edge, plate 1200 px)" in flag.message
    assert "0.06667 mm/px (plate edge, plate 1800 px)" in flag.message
    assert [series_rate(track).rate for track in found.tracks] == pytest.approx([5, 5.5, 6, 6.5, 7])
    assert {series_rate(track).quality for track in found.tracks} == {"ok"}


def test_follow_plate_flags_given_scale_of_other_camera() -> None:
    bases = [(20.0, 15.0), (24.0, 15.0)]
    found = follow(
        [
            photograph(
                [DrawnRoot(base, 5.0 + day) for base in bases],
                f"2023-08-0{day}T12:00Z",
                camera=Camera(mm_per_px=mm_per_px, given_mm_per_px=0.1),
            )
            for day, mm_per_px in ((1, 0.1), (2, 0.095))
        ]
    )
    assert codes(found.photographs[1].flags) == {"scale_changed", "scale_inconsistent"}
    assert {rate.quality for track in found.tracks for rate in track.growth if rate.rate > 0} == {"uncertain"}


def test_follow_plate_flags_wrong_scale_by_half() -> None:
    cameras = [Camera(given_mm_per_px=0.1), Camera(mm_per_px=0.2 / 3, given_mm_per_px=0.1)]
    found = follow(daily_series(GROWING[:2], cameras))
    assert {"scale_changed", "scale_inconsistent"} <= codes(found.photographs[1].flags)
    rates = [rate for track in found.tracks for rate in track.growth]
    assert not [rate for rate in rates if rate.quality == "ok"]


def test_follow_plate_flags_scale_that_contradicts_spacing() -> None:
    stretched = [(60 + (x - 60) * 1.1, y) for x, y in BASES_MM]
    found = follow(
        [
            photograph([DrawnRoot(base, 10.0) for base in BASES_MM], "2023-08-01T12:00Z"),
            photograph([DrawnRoot(base, 15.0) for base in stretched], "2023-08-02T12:00Z"),
        ]
    )
    assert codes(found.photographs[1].flags) == {"scale_inconsistent", "positions_disagree"}
    assert {series_rate(track).quality for track in found.tracks} == {"uncertain"}


def test_follow_plate_flags_photograph_of_another_plate() -> None:
    # Both plates were sown with the same template: each base is within the maximum displacement of another one.
    other = [(24.0, 16.0), (42.0, 14.0), (59.0, 15.0), (82.0, 16.0), (96.0, 15.0)]
    found = follow(
        [
            photograph([DrawnRoot(base, 30.0) for base in BASES_MM], "2023-08-01T12:00Z"),
            photograph([DrawnRoot(base, 34.0) for base in other], "2023-08-02T12:00Z"),
        ]
    )
    assert "positions_disagree" in codes(found.photographs[1].flags)
    assert {series_rate(track).quality for track in found.tracks} == {"uncertain"}


def test_follow_plate_accepts_errors_of_positions() -> None:
    other = [(20.8, 15.4), (39.2, 14.0), (60.5, 15.0), (80.0, 16.2), (99.0, 15.0)]
    found = follow(
        [
            photograph([DrawnRoot(base, 30.0) for base in BASES_MM], "2023-08-01T12:00Z"),
            photograph([DrawnRoot(base, 34.0) for base in other], "2023-08-02T12:00Z"),
        ]
    )
    assert {series_rate(track).quality for track in found.tracks} == {"ok"}


def test_follow_plate_flags_unconfirmed_scale_change() -> None:
    found = follow(daily_series([[10.0], [15.0]], [Camera(), Camera(mm_per_px=0.05)]))
    assert codes(found.photographs[1].flags) == {"scale_changed", "scale_unconfirmed"}
    assert series_rate(found.tracks[0]).quality == "uncertain"


def test_follow_plate_flags_exchanged_roots() -> None:
    # On the second day, the tracing gave each of two neighbours the root of the other from 10 mm downwards.
    near = [(20.0, 15.0), (38.0, 15.0)]
    first = photograph([DrawnRoot(base, 30.0) for base in near], "2023-08-01T12:00Z")
    crossing = math.degrees(math.atan2(18.0, 35.0))
    length = math.hypot(18.0, 35.0)
    second = photograph(
        [DrawnRoot(near[0], length, crossing), DrawnRoot(near[1], length, -crossing)], "2023-08-02T12:00Z"
    )
    found = follow([first, second])
    assert [codes(track.flags) for track in found.tracks] == [{"identity_swap"}] * 2
    assert {series_rate(track).quality for track in found.tracks} == {"uncertain"}
    assert "plants 1 and 2 may be exchanged" in found.tracks[0].flags[0].message


def test_follow_plate_flags_root_that_left_its_path() -> None:
    first = photograph([DrawnRoot((60.0, 15.0), 30.0)], "2023-08-01T12:00Z")
    second = photograph([DrawnRoot((60.0, 15.0), 35.0, angle_deg=25.0)], "2023-08-02T12:00Z")
    found = follow([first, second])
    assert codes(found.tracks[0].flags) == {"path_changed"}
    assert series_rate(found.tracks[0]).quality == "uncertain"


def test_follow_plate_flags_ambiguous_neighbours() -> None:
    first = photograph([DrawnRoot((x, 15.0), 10.0) for x in (20.0, 22.0)], "2023-08-01T12:00Z")
    second = photograph([DrawnRoot((x, 15.0), 12.0) for x in (20.8, 21.4)], "2023-08-02T12:00Z")
    found = follow([first, second])
    assert [codes(track.flags) for track in found.tracks] == [{"identity_ambiguous"}] * 2
    assert {rate.quality for track in found.tracks for rate in interval_rates(track)} == {"uncertain"}


def test_follow_plate_flags_vanished_and_late_plants() -> None:
    found = follow(daily_series([[10, 10, None], [15, None, None], [20, None, 4], [25, None, 9]]))
    assert [codes(track.flags) for track in found.tracks] == [set(), {"vanished"}, {"appeared_late"}]
    assert [len(track.observations) for track in found.tracks] == [4, 1, 2]
    assert series_rate(found.tracks[2]).rate == pytest.approx(5)
    assert "first seen on 2023-08-03" in found.tracks[2].flags[0].message


def test_follow_plate_continues_after_gap() -> None:
    found = follow(daily_series([[10, 10], [15, None], [20, 24]]))
    assert codes(found.tracks[1].flags) == {"not_seen"}
    [step] = interval_rates(found.tracks[1])
    assert (step.rate, step.days, step.first_photograph, step.last_photograph) == (pytest.approx(7), 2, 0, 2)


def test_follow_plate_flags_shrinking_root() -> None:
    found = follow(daily_series([[10, 10], [15, 18], [20, 14]]))
    assert [codes(track.flags) for track in found.tracks] == [set(), {"root_shrinks"}]
    assert [rate.quality for rate in interval_rates(found.tracks[1])] == ["ok", "uncertain"]
    assert "decreases from 18 to 14 mm, more than the" in interval_rates(found.tracks[1])[1].flags[0].message


def test_follow_plate_rejects_equal_times() -> None:
    photographs = [photograph([], "2023-08-01", name) for name in ("rgb.png", "gray.png")]
    with pytest.raises(ParameterError, match=r"rgb.png and gray.png have the same time, 2023-08-01: .*--plate-pattern"):
        follow(photographs)


def test_follow_plate_rejects_mixed_time_zones() -> None:
    photographs = [photograph([], time, f"{time}.png") for time in ("2023-08-01T12:00Z", "2023-08-02T12:00")]
    with pytest.raises(ParameterError, match=r"has a time zone, but .* has none: .*--time-zone"):
        follow(photographs)


def test_follow_plate_is_uncertain_with_dates_only() -> None:
    found = follow([photograph([DrawnRoot((60, 15), 10.0 * day)], f"2023-08-0{day}") for day in (1, 2)])
    assert found.photographs[1].time == "2023-08-02"
    assert codes(found.photographs[1].flags) == {"time_of_day_unknown"}
    assert codes(found.flags) == {"time_zone_unknown"}
    assert (series_rate(found.tracks[0]).rate, series_rate(found.tracks[0]).quality) == (10.0, "uncertain")


def test_follow_plate_skips_photograph_without_scale() -> None:
    cameras = [Camera(), Camera(knows_scale=False, sees_plate=False), Camera(), Camera(sees_plate=False)]
    found = follow(daily_series(GROWING, cameras))
    assert [codes(photo.flags) for photo in found.photographs] == [set(), {"not_followed"}, set(), {"not_followed"}]
    assert [len(track.observations) for track in found.tracks] == [2] * 5
    assert "5 plants are not followed" in found.photographs[1].flags[0].message


def test_follow_plate_without_plate_edges_is_uncertain() -> None:
    found = follow(daily_series(GROWING, [Camera(sees_plate=False, given_mm_per_px=0.1)] * 4))
    assert {photo.origin for photo in found.photographs} == {"image_corner"}
    assert {series_rate(track).quality for track in found.tracks} == {"uncertain"}


def test_follow_plate_flags_other_model_versions() -> None:
    photographs = daily_series(GROWING)
    last = photographs[3]
    photographs[3] = TimedPhenotype(with_versions(last.phenotype, "2.0.0"), last.timestamp, last.name)
    found = follow(photographs)
    assert [codes(photo.flags) for photo in found.photographs][3] == {"models_changed"}
    assert [rate.quality for rate in interval_rates(found.tracks[0])] == ["ok", "ok", "uncertain"]


def test_follow_plate_of_one_photograph_has_no_growth() -> None:
    found = follow(daily_series(GROWING[:1]))
    assert (len(found.tracks), codes(found.flags)) == (5, {"single_photograph"})
    assert {rate.quality for track in found.tracks for rate in track.growth} == {"unknown"}


def test_follow_plate_retains_plant_without_position() -> None:
    photographs = daily_series([[10], [15]])
    lost = photographs[1].phenotype.plants[0].model_copy(update={"roots": ()})
    photographs[1] = TimedPhenotype(
        photographs[1].phenotype.model_copy(update={"plants": (lost,)}), photographs[1].timestamp, "b.png"
    )
    found = follow(photographs)
    assert [codes(track.flags) for track in found.tracks] == [{"vanished"}, {"appeared_late", "position_unknown"}]


def test_series_round_trips_json_with_nan() -> None:
    found = follow(daily_series([[10, None], [15, 4]]))
    text = found.model_dump_json()
    assert "NaN" not in text
    assert PlateSeries.model_validate_json(text).model_dump_json() == text

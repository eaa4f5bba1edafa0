"""Tests of the plan of a series: plates and times from the names of photographs."""

import pytest

from thale.errors import ParameterError
from thale.series.plan import PhotographName, SeriesRules, plan_series
from thale.series.timestamps import parse_exif_time


def test_plan_series_groups_plates_of_two_cameras() -> None:
    names = [f"{plate}_2023-08-0{day}_{camera}.png" for plate in "ab" for camera in ("rgb", "gray") for day in (1, 2)]
    plates = plan_series([PhotographName(name) for name in names], SeriesRules())
    assert list(plates) == ["a_gray", "a_rgb", "b_gray", "b_rgb"]
    assert [photograph.index for photograph in plates["b_gray"]] == [6, 7]


def test_plan_series_prefers_exif_and_given_times() -> None:
    exif = parse_exif_time("2023:08:01 09:30:00", None)
    photographs = [
        PhotographName("p_2023-08-01.png", exif=exif),
        PhotographName("p_2023-08-02.png", "2023-08-02T09:00"),
    ]
    [found] = plan_series(photographs, SeriesRules()).values()
    assert [(item.timestamp.source, f"{item.timestamp.time:%H:%M}") for item in found] == [
        ("exif", "09:30"),
        ("given", "09:00"),
    ]
    with pytest.raises(ParameterError, match="1 of 2 photographs have no time"):
        plan_series([photographs[0], PhotographName("p_2023-08-02.png")], SeriesRules(times_from="exif"))


def test_plan_series_rejects_photographs_without_common_plate() -> None:
    names = [PhotographName(f"IMG_{number}_2023-08-0{number}.png") for number in (1, 2, 3)]
    with pytest.raises(ParameterError, match=r"each of the 3 photographs has another plate, .*--plate-pattern"):
        plan_series(names, SeriesRules())


def test_plan_series_keeps_date_with_dots() -> None:
    plates = plan_series([PhotographName("p_13.8.2023"), PhotographName("p_14.8.2023")], SeriesRules())
    assert list(plates) == ["p"]

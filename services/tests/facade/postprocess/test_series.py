"""Tests of the worker task of /v1/series."""

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn_series import daily_series
from tests.support.sample_phenotypes import phenotypes
from thale.errors import ParameterError
from thale.facade.postprocess import series as series_task
from thale.facade.postprocess.series import follow_series
from thale.schemas import Phenotype
from thale.series.schemas import SeriesResult

LENGTHS = [[10.0, 20.0], [15.0, 26.0]]


def items(**changes: Any) -> list[dict[str, Any]]:
    """Return two photographs of plate p7 as JSON."""
    return [
        {"phenotype": json.loads(item.phenotype.model_dump_json()), "name": f"p7_2023-08-0{day}_12-00.png", **changes}
        for day, item in enumerate(daily_series(LENGTHS), start=1)
    ]


def follow(photographs: list[dict[str, Any]], **fields: Any) -> SeriesResult:
    return SeriesResult.model_validate_json(follow_series(json.dumps({"photographs": photographs, **fields}).encode()))


def test_follow_series_returns_tracks_and_growth() -> None:
    [plate] = follow(items(), time_zone="Europe/Amsterdam").plates
    assert (plate.plate, [photo.time for photo in plate.photographs]) == (
        "p7",
        ["2023-08-01T12:00:00+02:00", "2023-08-02T12:00:00+02:00"],
    )
    rates = [rate for track in plate.tracks for rate in track.growth if rate.trait == "primary_root_length"]
    assert [rate.rate for rate in rates] == pytest.approx([5, 5, 6, 6])
    assert {rate.quality for rate in rates} == {"ok"}


def test_follow_series_uses_given_times_and_plates() -> None:
    first, second = items(name="a.png", plate="x")
    series = follow([second | {"time": "2023-08-03T12:00Z"}, first | {"time": "2023-08-01T12:00Z"}])
    assert [(plate.plate, plate.photographs[1].days) for plate in series.plates] == [("x", 2.0)]


def test_follow_series_uses_image_name_of_phenotype() -> None:
    photographs = [{"phenotype": item["phenotype"]} for item in items()]
    with pytest.raises(ParameterError, match="have the same time, 2023-08-01 12:00:00"):
        follow([*photographs, photographs[0]])
    [plate] = follow(photographs).plates
    assert plate.photographs[0].image == "2023-08-01T12:00:00+00:00.png"


def test_follow_series_prefers_exif_to_name() -> None:
    first, second = items(plate="x")
    exif = {"exif_time": "2023-08-01T09:15:00+02:00"}
    [plate] = follow([first | exif, second], time_zone="UTC").plates
    assert [(photo.time, photo.time_source) for photo in plate.photographs] == [
        ("2023-08-01T09:15:00+02:00", "exif"),
        ("2023-08-02T12:00:00+00:00", "file_name"),
    ]
    [plate] = follow([first | exif | {"time": "2023-08-01T10:00Z"}, second], time_zone="UTC").plates
    assert plate.photographs[0].time_source == "given"


@pytest.mark.parametrize(
    ("exif_time", "message"),
    [
        ("2023-08-06T09:15:00", "EXIF has the time 2023-08-06 09:15, but the name has 2023-08-01 12:00"),
        ("2023:08:01 09:15:00", "p7_2023-08-01_12-00.png: the time '2023:08:01 09:15:00' is not ISO 8601"),
    ],
)
def test_follow_series_rejects_exif_time(exif_time: str, message: str) -> None:
    first, second = items()
    with pytest.raises(ParameterError, match=message):
        follow([first | {"exif_time": exif_time}, second])


def test_follow_series_returns_values_of_all_plates() -> None:
    photographs = [*items(plate="b"), *reversed(items(plate="a"))]
    body = json.dumps({"photographs": photographs}).encode()
    rows = list(csv.DictReader(io.StringIO(follow_series(body, "text/csv").decode())))
    found = [
        (row["plate"], row["time"][:10], row["plant"], float(row["value"]))
        for row in rows
        if row["trait"] == "primary_root_length"
    ]
    of_plate = [("2023-08-01", "1", 10), ("2023-08-01", "2", 20), ("2023-08-02", "1", 15), ("2023-08-02", "2", 26)]
    assert found == [(plate, *row) for plate in "ab" for row in of_plate]


def test_follow_series_returns_growth_rates_as_table() -> None:
    body = json.dumps({"photographs": items()}).encode()
    rows = list(csv.DictReader(io.StringIO(follow_series(body, "text/csv", "growth").decode())))
    found = [float(row["rate"]) for row in rows if (row["trait"], row["scope"]) == ("primary_root_length", "interval")]
    assert found == pytest.approx([5, 6])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the series is invalid"),
        (b"[]", "the series is invalid"),
        (b'{"photographs": []}', "photographs: Tuple should have at least 1 item"),
        (b'{"photographs": [{"phenotype": {"image": 3}}]}', r"photographs.0.phenotype.image"),
        (b'{"photographs": [], "color": 1}', "color: Extra inputs are not permitted"),
    ],
)
def test_follow_series_rejects_invalid_body(body: bytes, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        follow_series(body)


def test_follow_series_rejects_unknown_zone_and_missing_time() -> None:
    with pytest.raises(ParameterError, match=r"the time zone '\.\./\.\./etc/passwd' is unknown"):
        follow(items(), time_zone="../../etc/passwd")
    with pytest.raises(ParameterError, match=r"have no time .* the field `time` of /v1/series"):
        follow(items(name="a.png"))


def test_follow_series_rejects_too_many_plants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_task, "MAX_PLANTS", 3)
    with pytest.raises(ParameterError, match="the photographs have 4 plants: send up to 3"):
        follow(items())
    monkeypatch.setattr(series_task, "MAX_PLANTS_PER_PHOTOGRAPH", 1)
    with pytest.raises(ParameterError, match=r"photographs.0 has 2 plants: send up to 1"):
        follow(items())


def test_follow_series_rejects_repeated_plant_id() -> None:
    photographs = items()
    photographs[1]["phenotype"]["plants"][1]["id"] = 1
    with pytest.raises(ParameterError, match=r"photographs.1 has two plants with one id"):
        follow(photographs)


def test_follow_series_accepts_numbers_that_are_not_finite() -> None:
    photographs = items()
    text = json.dumps({"photographs": photographs})
    root = photographs[1]["phenotype"]["plants"][0]["roots"][0]
    traits = photographs[1]["phenotype"]["plants"][1]["traits"]
    traits[0]["value"] = math.inf
    traits[1]["interval"] = [-math.inf, math.inf]
    root["points"][0][0] = math.inf
    for change in (
        json.dumps({"photographs": photographs}).replace("Infinity", "1e999"),
        text.replace('"mm_per_px": 0.1', '"mm_per_px": 0'),
        text.replace('"mm_per_px": 0.1', '"mm_per_px": -1e999'),
        text.replace('"x": 1250.0', '"x": 50.0').replace('"y": 1240.0', '"y": 40.0'),
    ):
        assert change != text
        series = SeriesResult.model_validate_json(follow_series(change.encode()))
        assert len(series.plates[0].photographs) == 2


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(phenotypes(), min_size=2, max_size=4))
def test_follow_series_accepts_any_phenotypes(found: list[Phenotype]) -> None:
    photographs = [
        {"phenotype": json.loads(item.model_dump_json()), "name": "a", "plate": "p", "time": f"2023-08-0{day}"}
        for day, item in enumerate(found, start=1)
    ]
    [plate] = follow(photographs).plates
    observed = {(item.photograph, item.plant) for track in plate.tracks for item in track.observations}
    skipped = {photo.index for photo in plate.photographs if any(flag.code == "not_followed" for flag in photo.flags)}
    plants = {(day, plant.id) for day, item in enumerate(found) for plant in item.plants if day not in skipped}
    assert observed == plants

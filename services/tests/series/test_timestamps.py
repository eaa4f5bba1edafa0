"""Tests of the times of photographs: file names, EXIF, given times, time zones."""

from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from tests.support import heic_files
from thale.errors import ParameterError
from thale.series.timestamps import (
    TimeRules,
    Timestamp,
    choose_timestamp,
    parse_exif_time,
    parse_time,
    timestamp_from_exif,
    timestamp_from_name,
)

NAMED = [
    ("026_43-18-ROOT1-2023-08-08_pvd_OD0001_col-0_04", "2023-08-08T12:00", False),
    ("IMG_20230808_143005", "2023-08-08T14:30:05", True),
    ("plate1_2023-08-08T14-30-05", "2023-08-08T14:30:05", True),
    ("plate1_2023-08-08_14h30", "2023-08-08T14:30", True),
    ("a_2023-08-08 14.30", "2023-08-08T14:30", True),
    ("b-2023_08_08_14_30_09", "2023-08-08T14:30:09", True),
    ("c_20230808_1430", "2023-08-08T14:30", True),
    ("d_8Aug2023_x", "2023-08-08T12:00", False),
    ("e_13.08.2023", "2023-08-13T12:00", False),
    ("e_08.13.2023", "2023-08-13T12:00", False),
    ("e_08-08-2023", "2023-08-08T12:00", False),
    ("f_2023-08-08T14:30:00+02:00", "2023-08-08T14:30+02:00", True),
    ("20230808T143000Z_g", "2023-08-08T14:30+00:00", True),
    ("2023-08-08/plate 3", "2023-08-08T12:00", False),
    ("2023-08-01/plate3_2023-08-08", "2023-08-08T12:00", False),
    ("x2023-08-08_04_b", "2023-08-08T12:00", False),
]


@pytest.mark.parametrize(("label", "expected", "has_time"), NAMED)
def test_timestamp_from_name_reads_pattern(label: str, expected: str, has_time: bool) -> None:
    assert timestamp_from_name(label) == Timestamp(datetime.fromisoformat(expected), "file_name", has_time)


@pytest.mark.parametrize("label", ["plate_7", "g_2023-02-30", "43-18-ROOT1", "120230808", "2023-13-01", "IMG_4711"])
def test_timestamp_from_name_returns_none_without_date(label: str) -> None:
    assert timestamp_from_name(label) is None


def test_timestamp_from_name_rejects_ambiguous_day_and_month() -> None:
    with pytest.raises(ParameterError, match=r"03-04-2023 is 3 Apr or 4 Mar: .*--times"):
        timestamp_from_name("q_03-04-2023")


def test_timestamp_from_name_rejects_two_dates() -> None:
    with pytest.raises(ParameterError, match="several times, 2023-08-01 12:00 and 2023-08-08 12:00"):
        timestamp_from_name("sown-2023-08-01_taken-2023-08-08")


def test_timestamp_from_exif_reads_original_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[306] = "2024:01:01 00:00:00"  # time of the last change
    exif.get_ifd(0x8769).update({36867: "2023:08:08 14:30:00", 36881: "+02:00"})
    Image.new("L", (8, 8)).save(path, exif=exif)
    found = timestamp_from_exif(path)
    assert found is not None
    assert (found.time, found.source) == (
        datetime(2023, 8, 8, 14, 30, tzinfo=timezone(timedelta(hours=2))),
        "exif",
    )


def test_timestamp_from_exif_reads_heic(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({36867: "2023:08:08 14:30:00", 36881: "+02:00"})
    path = tmp_path / "phone.heic"
    path.write_bytes(heic_files.with_exif(exif.tobytes()[6:]))
    found = timestamp_from_exif(path)
    assert found is not None
    assert found.time.isoformat() == "2023-08-08T14:30:00+02:00"
    path.write_bytes(path.read_bytes()[:-200])
    assert timestamp_from_exif(path) is None


def test_timestamp_from_exif_returns_none_without_original_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[306] = "2024:01:01 00:00:00"
    Image.new("L", (8, 8)).save(path, exif=exif)
    (tmp_path / "b.jpg").write_bytes(b"no image")
    assert (timestamp_from_exif(path), timestamp_from_exif(tmp_path / "b.jpg")) == (None, None)


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "", None, 7, "1970:01:01 00:00:00"])
def test_parse_exif_time_returns_none_for_unset_clock(text: object) -> None:
    assert parse_exif_time(text, None) is None


def test_choose_timestamp_rejects_contradiction() -> None:
    exif = Timestamp(datetime(2020, 1, 1, 9), "exif")
    named = Timestamp(datetime(2023, 8, 8, 12), "file_name", False)
    with pytest.raises(ParameterError, match=r"EXIF has the time 2020-01-01 09:00, .*--times-from exif"):
        choose_timestamp(exif, named, "a.jpg")
    agreeing = Timestamp(datetime(2023, 8, 8, 23), "exif")
    assert choose_timestamp(agreeing, named, "a.jpg") == agreeing
    assert choose_timestamp(None, named, "a.jpg") == named


def test_parse_time_distinguishes_date_and_time() -> None:
    assert parse_time("2023-08-08", "a").is_time_of_day_known is False
    assert parse_time("2023-08-08T10:00:00Z", "a").time == datetime(2023, 8, 8, 10, tzinfo=UTC)
    with pytest.raises(ParameterError, match=r"a.png: the time '8/8/2023' is not ISO 8601"):
        parse_time("8/8/2023", "a.png")


def test_complete_applies_zone_across_summer_time() -> None:
    rules = TimeRules(ZoneInfo("Europe/Amsterdam"), time(10))
    before, after = (rules.complete(parse_time(day, "a"), "a").time for day in ("2023-10-28", "2023-10-29"))
    assert (after.astimezone(UTC) - before.astimezone(UTC)) == timedelta(hours=25)


def test_complete_rejects_time_that_occurs_twice() -> None:
    rules = TimeRules(ZoneInfo("Europe/Amsterdam"))
    with pytest.raises(ParameterError, match="occurs twice or never"):
        rules.complete(parse_time("2023-10-29T02:30", "a"), "a")


def test_complete_keeps_given_offset() -> None:
    given = parse_time("2023-10-29T02:30:00+02:00", "a")
    assert TimeRules(ZoneInfo("Asia/Tokyo")).complete(given, "a") == given

"""Tests of `thale series` with a client that measures drawn seedlings without a server."""

import csv
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tests.support import sample_images
from tests.support.drawn_series import BASES_MM, DrawnRoot, photograph
from tests.support.sample_phenotypes import image_metadata, served_models
from thale.cli import analyze
from thale.cli.app import app
from thale.errors import DamagedImageError, ParameterError
from thale.schemas import Phenotype

NAME = "026_43-18-ROOT1-2023-08-{day:02}_pvd_OD0001_col-0_04"
BROKEN = b"broken"


class GrowingClient:
    """Client that finds five seedlings. They grow by 5 mm from file to file, by the last number of the date."""

    def __init__(self) -> None:
        self.request_count = 0

    def models(self) -> list[SimpleNamespace]:
        """Return the models of the sample phenotypes, which all serve."""
        return served_models()

    def phenotype(self, path: Path, **_parameters: object) -> Phenotype:
        self.request_count += 1
        if path.read_bytes() == BROKEN:
            raise DamagedImageError("the image is truncated")
        day = int(path.stem.partition("2023-08-")[2][:2])
        drawn = photograph([DrawnRoot(base, 5.0 * day) for base in BASES_MM], f"2023-08-{day:02}").phenotype
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return drawn.model_copy(update={"image": image_metadata(path.name, digest, 240, 200)})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> GrowingClient:
    fake = GrowingClient()

    @contextmanager
    def connect(*_arguments: object) -> Iterator[GrowingClient]:
        yield fake

    monkeypatch.setattr(analyze, "connect_or_start", connect)
    return fake


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for day in (1, 2, 4):
        (folder / f"{NAME.format(day=day)}.png").write_bytes(sample_images.png() + bytes([day]))
    return folder


def run(*arguments: str | Path, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["series", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def growth(out: Path, scope: str) -> list[dict[str, str]]:
    table = rows(out / "growth.csv")
    return [row for row in table if (row["trait"], row["scope"]) == ("primary_root_length", scope)]


@pytest.mark.slow
def test_series_follows_folder_and_resumes(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = run(photos, "--out", out, "--time-of-day", "12:00", "--time-zone", "Europe/Amsterdam")
    assert "3 photographs in 3.00 days" in output
    whole = growth(out, "series")
    assert [row["plant"] for row in whole] == ["1", "2", "3", "4", "5"]
    assert {(row["plate"], row["rate"], row["unit"], row["quality"], row["values"]) for row in whole} == {
        ("026_43-18-ROOT1_pvd_OD0001_col-0_04", "5", "mm/day", "ok", "3")
    }
    assert [(row["days"], row["first_time"]) for row in growth(out, "interval")][:2] == [
        ("1", "2023-08-01T12:00:00+02:00"),
        ("2", "2023-08-02T12:00:00+02:00"),
    ]
    run(photos, "--out", out)
    assert client.request_count == 3
    assert {row["quality"] for row in growth(out, "series")} == {"uncertain"}


@pytest.mark.slow
def test_series_table_has_row_per_plant_and_photograph(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    run(photos, "--out", tmp_path / "out")
    lengths = [row for row in rows(tmp_path / "out/series.csv") if row["trait"] == "primary_root_length"]
    assert [(row["plant"], row["time"], row["value"]) for row in lengths if row["plant"] == "3"] == [
        ("3", "2023-08-01", "5"),
        ("3", "2023-08-02", "10"),
        ("3", "2023-08-04", "20"),
    ]
    assert len(lengths) == 15
    assert [float(lengths[0][key]) for key in ("base_x_mm", "base_y_mm", "tip_y_mm")] == [20, 15, 20]
    assert (lengths[0]["interval_low"], lengths[0]["image"]) == ("4.8", f"{NAME.format(day=1)}.png")


@pytest.mark.slow
def test_series_from_results_measures_nothing(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    run(photos, "--out", tmp_path / "out")
    run("--from", tmp_path / "out", "--out", tmp_path / "again")
    run("--from", tmp_path / "out" / "traits.csv", "--out", tmp_path / "table")
    assert client.request_count == 3
    first = (tmp_path / "out/growth.csv").read_text()
    for folder in ("again", "table"):
        assert (tmp_path / folder / "growth.csv").read_text().replace(".png", "") == first.replace(".png", "")
    assert len(json.loads((tmp_path / "again/series.json").read_text())["plates"][0]["tracks"]) == 5


@pytest.mark.slow
def test_series_separates_plates_of_one_folder(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    for day in (1, 2):
        other = NAME.format(day=day).replace("026", "027")
        (photos / f"{other}.png").write_bytes(sample_images.png() + b"027" + bytes([day]))
    run(photos, "--out", tmp_path / "out")
    assert [(row["plate"][:3], row["values"]) for row in growth(tmp_path / "out", "series")] == (
        [("026", "3")] * 5 + [("027", "2")] * 5
    )
    with pytest.raises(ParameterError, match="have the same time"):
        run(photos, "--out", tmp_path / "merged", "--plate-pattern", r"ROOT\d")


@pytest.mark.slow
def test_series_reports_photographs_that_failed(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    broken = photos / f"{NAME.format(day=6)}.png"
    broken.write_bytes(BROKEN)
    run(photos, "--out", tmp_path / "out", exit_code=1)
    [plate] = json.loads((tmp_path / "out/series.json").read_text())["plates"]
    [flag] = [flag for flag in plate["flags"] if flag["code"] == "not_measured"]
    assert broken.name in flag["message"]


@pytest.mark.slow
def test_series_reads_table_of_times(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "times.csv"
    lines = [f"{NAME.format(day=day)}.png;2023-08-0{day}T09:00:00+02:00;p7" for day in (1, 2, 4)]
    table.write_text("\ufefffile;time;plate\n" + "\n".join(lines), encoding="utf-8")
    run(photos, "--out", tmp_path / "out", "--times", table)
    assert {(row["plate"], row["quality"]) for row in growth(tmp_path / "out", "series")} == {("p7", "ok")}
    table.write_text("file,time\n" + "\n".join(line.replace(";", ",") for line in lines[:2]))
    with pytest.raises(ParameterError, match=f"has no row for {NAME.format(day=4)}"):
        run(photos, "--out", tmp_path / "out", "--times", table)


def test_series_checks_times_before_measuring(client: GrowingClient, photos: Path, tmp_path: Path) -> None:
    (photos / "plate7.png").write_bytes(sample_images.png())
    with pytest.raises(ParameterError, match=r"1 of 4 photographs have no time .*\(plate7.png\): .*--times"):
        run(photos, "--out", tmp_path / "out")
    assert client.request_count == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-zone", "Mars/Olympus"], "the time zone 'Mars/Olympus' is unknown"),
        (["--time-of-day", "noon"], "the time of day 'noon' is no time"),
        (["--plate-pattern", "("], "no regular expression"),
    ],
)
def test_series_rejects_invalid_option(
    client: GrowingClient, photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(ParameterError, match=message.replace("(", r"\(")):
        run(photos, "--out", tmp_path / "out", *arguments)


def test_series_rejects_neither_photographs_nor_results(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="pass either photographs, or a folder"):
        run("--out", tmp_path)

"""Tests of the files that `thale analyze` writes for all images, with a client that measures without a server."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support import sample_images
from tests.support.json2csv import read_single_values
from tests.support.seedling_client import SeedlingClient, connect_to
from thale.batch.results import COCO, PLANTCV, WIDE_TABLE
from thale.cli.app import app


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> SeedlingClient:
    return connect_to(monkeypatch, SeedlingClient())


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["analyze", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_analyze_plantcv_has_results_of_resumed_run(client: SeedlingClient, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "plantcv.png").write_bytes(sample_images.png())
    assert PLANTCV in run(photos, "--out", out, "--plantcv")
    assert client.request_count == 1
    (photos / "b.jpg").write_bytes(sample_images.jpeg())
    run(photos, "--out", out, "--plantcv")
    assert client.request_count == 2
    rows = read_single_values((out / PLANTCV).read_bytes())
    assert [(row["image"], row["sample"]) for row in rows] == [("b.jpg", "plant_1"), ("photos_plantcv.png", "plant_1")]


def test_analyze_writes_only_requested_files(client: SeedlingClient, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(sample_images.png())
    assert COCO in run(tmp_path / "a.png", "--out", tmp_path / "out", "--coco")
    assert client.request_count == 1
    assert ((tmp_path / "out" / COCO).exists(), (tmp_path / "out" / PLANTCV).exists()) == (True, False)


def images_in_table(out: Path) -> list[str]:
    return [row["image"] for row in csv.DictReader((out / WIDE_TABLE).read_text().splitlines())]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with two different photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(sample_images.png())
    (folder / "b.jpg").write_bytes(sample_images.jpeg())
    return folder


def test_analyze_tables_omit_removed_photographs(client: SeedlingClient, photos: Path, tmp_path: Path) -> None:
    run(photos, "--out", tmp_path / "out")
    assert images_in_table(tmp_path / "out") == ["a.png", "b.jpg"]
    (photos / "b.jpg").unlink()
    output = run(photos, "--out", tmp_path / "out")
    assert images_in_table(tmp_path / "out") == ["a.png"]
    assert "results are not in the tables, because their photographs are gone: b" in output


def test_analyze_tables_omit_results_of_other_scale(client: SeedlingClient, photos: Path, tmp_path: Path) -> None:
    run(photos, "--out", tmp_path / "out", "--mm-per-px", "0.05")
    output = run(photos / "a.png", "--out", tmp_path / "out", "--mm-per-px", "0.06")
    assert client.request_count == 3
    assert images_in_table(tmp_path / "out") == ["a.png"]
    assert "not in the tables, because their parameters or models differ (measure them again): b" in output


def test_analyze_names_results_of_earlier_runs(client: SeedlingClient, photos: Path, tmp_path: Path) -> None:
    run(photos / "a.png", "--out", tmp_path / "out")
    output = run(photos / "b.jpg", "--out", tmp_path / "out")
    assert images_in_table(tmp_path / "out") == ["b.jpg"]
    assert "earlier runs are not in the tables, because this command does not name their photographs: a" in output
    assert "earlier runs" not in run(photos, "--out", tmp_path / "out")
    assert images_in_table(tmp_path / "out") == ["a.png", "b.jpg"]


@pytest.mark.parametrize("degrees", ["45", "-90", "360"])
def test_analyze_rejects_a_turn_that_is_no_quarter_turn(tmp_path: Path, degrees: str) -> None:
    result = CliRunner().invoke(app, ["analyze", "plate.png", "--out", str(tmp_path), "--rotate", degrees])
    assert result.exit_code == 2
    assert "is not 90, 180 or 270" in result.output

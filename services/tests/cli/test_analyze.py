"""Tests of the files that `thale analyze` writes for all images, with a client that measures without a server."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tests.support import sample_images
from tests.support.json2csv import read_single_values
from tests.support.sample_phenotypes import image_metadata, phenotype, seedling
from thale.batch.results import COCO, PLANTCV
from thale.cli import analyze
from thale.cli.app import app
from thale.schemas import Phenotype


class SeedlingClient:
    """Client that finds one seedling on each image. It counts its requests."""

    def __init__(self) -> None:
        self.request_count = 0

    def models(self) -> list[SimpleNamespace]:
        """Return the models of the sample phenotypes, which all serve."""
        return [
            SimpleNamespace(
                name=model.name,
                versions=[SimpleNamespace(version=model.version, digest=model.digest, traffic_percent=100.0)],
            )
            for model in phenotype().provenance.models
        ]

    def phenotype(self, path: Path, **_parameters: object) -> Phenotype:
        self.request_count += 1
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return phenotype(seedling(), image=image_metadata(path.name, digest, 240, 200))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> SeedlingClient:
    fake = SeedlingClient()

    @contextmanager
    def connect(*_arguments: object) -> Iterator[SeedlingClient]:
        yield fake

    monkeypatch.setattr(analyze, "connect_or_start", connect)
    return fake


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

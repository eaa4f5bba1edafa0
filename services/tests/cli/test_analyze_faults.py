"""Faults of single files in `thale analyze`: each is a row of failed.csv or a line, and never the end of the batch."""

import csv
import errno
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support import sample_images
from tests.support.seedling_client import SeedlingClient, connect_to
from thale.batch import run as batch_run
from thale.cli.app import app
from thale.errors import DeadlineExceededError, FileAccessError


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> SeedlingClient:
    return connect_to(monkeypatch, SeedlingClient())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with one photograph."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.png").write_bytes(sample_images.png())
    return folder


def analyze(photos: Path, *arguments: str | Path, exit_code: int = 0) -> str:
    out = photos.parent / "out"
    result = CliRunner().invoke(app, ["analyze", str(photos), "--out", str(out), *map(str, arguments)])
    assert result.exit_code == exit_code, (result.output, result.exception)
    return " ".join(result.output.split())


def failures(photos: Path) -> dict[str, str]:
    table = photos.parent / "out" / "failed.csv"
    return {Path(row["file"]).name: row["reason"] for row in csv.DictReader(table.read_text().splitlines())}


def images(photos: Path) -> list[str]:
    text = (photos.parent / "out" / "traits_wide.csv").read_text()
    return [row["image"] for row in csv.DictReader(text.splitlines())]


def test_name_in_another_encoding_is_measured(client: SeedlingClient, photos: Path) -> None:
    (photos / os.fsdecode(b"pl\xe4tte1.png")).write_bytes(sample_images.jpeg())
    assert "2 measured" in analyze(photos)
    assert images(photos) == ["good.png", "pl�tte1.png"]
    assert "2 skipped" in analyze(photos)
    (photos / os.fsdecode(b"pl\xf6tte1.png")).write_bytes(sample_images.png() + b" ")
    assert len({*images(photos)}) == 2
    assert "1 measured, 2 skipped" in analyze(photos)
    assert len({*images(photos)}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["m" * 245, "皿" * 83])
def test_long_name_is_shortened(client: SeedlingClient, photos: Path, stem: str) -> None:
    (photos / f"{stem}.png").write_bytes(sample_images.jpeg())
    assert "because its name is too long" in analyze(photos)
    [_, name] = images(photos)
    assert (photos.parent / "out" / f"{Path(name).stem}.overlay.png").exists()
    assert "2 skipped" in analyze(photos)


def test_broken_link_fails_and_two_links_are_two_images(client: SeedlingClient, photos: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "x.png").write_bytes(sample_images.jpeg())
    (photos / "gone.png").symlink_to("../store/missing.png")
    (photos / "rep1.png").symlink_to("../store/x.png")
    (photos / "rep2.png").symlink_to("../store/x.png")
    output = analyze(photos, exit_code=1)
    assert failures(photos) == {
        "gone.png": "the file cannot be read: No such file or directory (a link to ../store/missing.png)"
    }
    assert images(photos) == ["good.png", "rep1.png", "rep2.png"]
    assert "rep2.png is a copy of" in output


def test_named_pipe_fails_without_being_opened(client: SeedlingClient, photos: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    (photos / "null.png").symlink_to("/dev/null")
    analyze(photos, exit_code=1)
    assert failures(photos) == {
        "null.png": "a device cannot be measured: pass an image file",
        "pipe.png": "a named pipe cannot be measured: pass an image file",
    }
    analyze(photos, photos / "pipe.png", exit_code=1)


def test_unreadable_subfolder_fails(client: SeedlingClient, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions do not apply to root, so the call of the system fails instead."""
    (photos / "day1").mkdir()
    (photos / "day2").mkdir()
    (photos / "day2" / "b.png").write_bytes(sample_images.jpeg())
    scan = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("day1"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    analyze(photos, "--recursive", exit_code=1)
    assert failures(photos) == {"day1": "the folder cannot be read: Permission denied"}
    assert images(photos) == ["day2/b.png", "good.png"]


def test_folder_with_the_name_of_a_result_fails_that_image(client: SeedlingClient, photos: Path) -> None:
    (photos / "good.json").mkdir()
    (photos / "good.json" / "a.png").write_bytes(sample_images.jpeg())
    (photos / "z.png").write_bytes(sample_images.jpeg() + b" ")
    analyze(photos, "--recursive", exit_code=1)
    [(name, reason)] = failures(photos).items()
    assert (name in ("good.png", "a.png"), "cannot be written" in reason) == (True, True)
    assert "z.png" in images(photos)
    assert len(images(photos)) == 2


def test_omitted_folders_and_formats_are_named(client: SeedlingClient, photos: Path) -> None:
    (photos / "day1").mkdir()
    for name in ("screenshot.AVIF", "camera.nef", "notes.txt"):
        (photos / name).touch()
    output = analyze(photos)
    assert f"1 sub-folders were not read (pass --recursive): {photos / 'day1'}" in output
    assert f"convert them to JPEG, PNG or TIFF): {photos / 'camera.nef'}, {photos / 'screenshot.AVIF'}" in output
    assert "1 other files ignored" in output


def test_table_that_is_a_folder_is_one_sentence(client: SeedlingClient, photos: Path) -> None:
    (photos.parent / "out" / "traits.csv").mkdir(parents=True)
    result = CliRunner().invoke(app, ["analyze", str(photos), "--out", str(photos.parent / "out")])
    assert isinstance(result.exception, FileAccessError)
    assert f"results cannot be written to {photos.parent / 'out' / 'traits.csv'}: Is a directory" in str(
        result.exception
    )
    assert not list((photos.parent / "out").glob(".*.part"))


def test_scan_above_the_upload_limit_is_packed(
    client: SeedlingClient, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = sample_images.tiff(np.asarray(Image.fromarray(sample_images.seedlings())))
    (photos / "scan.tif").write_bytes(scan)
    monkeypatch.setattr(batch_run, "UPLOAD_LIMIT_BYTES", len(scan) - 1)
    analyze(photos)
    [packed] = [image for image in client.images if not isinstance(image, Path)]
    np.testing.assert_array_equal(np.asarray(Image.open(packed_file(packed))), sample_images.seedlings())
    frame = pd.read_csv(photos.parent / "out" / "traits_wide.csv")
    assert frame["image"].tolist() == ["good.png", "scan.tif"]
    assert "2 skipped" in analyze(photos)


def packed_file(image: bytes) -> io.BytesIO:
    assert image.startswith(b"\x89PNG")
    return io.BytesIO(image)


@pytest.mark.slow
def test_timeout_is_sent_and_fails_single_images(client: SeedlingClient, photos: Path) -> None:
    for number in range(6):
        (photos / f"{number}.png").write_bytes(sample_images.png() + bytes([number]))
    client.error = DeadlineExceededError.from_message("the deadline passed")
    analyze(photos, "--timeout-s", "5", exit_code=1)
    assert len(failures(photos)) == 7  # more than the consecutive failures that end a run
    assert client.parameters["timeout_s"] == 5
    client.error = None
    analyze(photos, "--timeout-s", "50")
    assert "7 skipped" in analyze(photos)  # a time limit is no property of a result


@pytest.mark.slow
def test_formats_have_the_cells_of_the_csv_tables(client: SeedlingClient, photos: Path) -> None:
    (photos / "+NaCl_1 (2).png").write_bytes(sample_images.jpeg())
    output = analyze(photos, "--format", "xlsx", "--format", "parquet", "--bom")
    assert "traits.xlsx, traits.parquet" in output
    out = photos.parent / "out"
    for name in ("traits", "traits_wide"):
        assert (out / f"{name}.csv").read_bytes().startswith(b"\xef\xbb\xbf")
        table = pd.read_csv(out / f"{name}.csv", encoding="utf-8-sig")
        typed = pd.read_parquet(out / f"{name}.parquet")
        assert typed["image"].tolist() == [image.removeprefix("'") for image in table["image"]]
        assert typed.columns.tolist() == table.columns.tolist()
        numbers = [column for column in table if table[column].dtype.kind in "if" and table[column].notna().any()]
        assert {"plant", "mm_per_px"} <= set(numbers)
        np.testing.assert_allclose(typed[numbers].astype(float), table[numbers].astype(float))
        assert (out / f"{name}.xlsx").read_bytes().startswith(b"PK")

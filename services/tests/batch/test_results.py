"""Tests of the tables of results: content, full disk, and a table that cannot be replaced."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.sample_images import encode, seedlings
from tests.support.sample_phenotypes import image_metadata, phenotype, seedling
from thale.batch.results import (
    COCO,
    LONG_TABLE,
    PLANTCV,
    WIDE_TABLE,
    is_complete,
    write_failures,
    write_result,
    write_tables,
)
from thale.batch.series import find_result_names
from thale.errors import FileAccessError

_FULL_DISK = Path("/dev/full")  # a write to it fails with ENOSPC, in any container


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with one result and its tables."""
    (tmp_path / "plate.json").write_text(phenotype().model_dump_json())
    write_tables(tmp_path, ["plate"], with_coco=True, with_plantcv=True)
    return tmp_path


@pytest.mark.parametrize("name", [LONG_TABLE, WIDE_TABLE, COCO, PLANTCV])
def test_write_tables_keeps_old_table_on_full_disk(results: Path, name: str) -> None:
    before = (results / name).read_bytes()
    (results / f".{name}.part").symlink_to(_FULL_DISK)
    message = rf"^results cannot be written to {results / name}: No space left on device: free space on that disk"
    with pytest.raises(FileAccessError, match=message):
        write_tables(results, ["plate"], with_coco=True, with_plantcv=True)
    assert (results / name).read_bytes() == before
    assert not list(results.glob(".*"))


def test_write_tables_plantcv_has_all_results_of_all_runs(results: Path) -> None:
    (results / "b.json").write_text(phenotype(seedling(), image=image_metadata("b.png")).model_dump_json())
    write_tables(results, ["b", "plate"], with_plantcv=True)
    entities = json.loads((results / PLANTCV).read_bytes())["entities"]
    assert [entity["metadata"]["image"]["value"] for entity in entities] == [["b.png"], ["plate.png"]]


def test_write_tables_names_folder_in_the_way(results: Path) -> None:
    (results / LONG_TABLE).unlink()
    (results / LONG_TABLE).mkdir()
    with pytest.raises(FileAccessError, match=rf"{LONG_TABLE}: Is a directory: remove the folder of that name"):
        write_tables(results, ["plate"])
    assert not list(results.glob(".*"))


def test_write_failures_reports_full_disk(tmp_path: Path) -> None:
    (tmp_path / ".failed.csv.part").symlink_to(_FULL_DISK)
    with pytest.raises(FileAccessError, match=r"failed\.csv: No space left on device"):
        write_failures(tmp_path / "failed.csv", [("plate.png", "damaged")])
    assert not (tmp_path / "failed.csv").exists()


def test_write_result_has_rsml_only_for_image_with_roots(tmp_path: Path) -> None:
    # archiDART reads all RSML files of a folder, and fails on one without roots.
    image = encode(Image.fromarray(seedlings(300, 400)), "PNG")
    write_result(tmp_path, "plate", phenotype(seedling()), image)
    assert (tmp_path / "plate.rsml").exists()
    (tmp_path / "plate.rsml").rename(tmp_path / "elsewhere")
    assert not is_complete(tmp_path, "plate")
    write_result(tmp_path, "plate", phenotype(), image)
    assert not (tmp_path / "plate.rsml").exists()
    assert is_complete(tmp_path, "plate")
    (tmp_path / "plate.json").unlink()
    assert not is_complete(tmp_path, "plate")


def test_find_result_names_reads_a_table_with_semicolons(tmp_path: Path) -> None:
    table = tmp_path / "traits.csv"
    table.write_text("\ufeffimage;value\na.png;1,5\nb.png;\na.png;2,5\n", encoding="utf-8")
    assert find_result_names(table) == ["a", "b"]

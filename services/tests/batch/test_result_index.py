"""Tests of the result index: stable result names, and finished measurements."""

import sqlite3
from pathlib import Path

import pytest

from thale.batch.result_index import INDEX_FILENAME, ResultEntry, ResultIndex
from thale.batch.sources import Source
from thale.errors import FileAccessError, ParameterError

ENTRY = ResultEntry("abc", "{}", frozenset({("plate-seg", "1.0.0", "sha256:1")}))


def source(path: Path, label: str | None = None) -> Source:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return Source(path, Path(label or path.name))


def test_assign_name_is_unique_and_stable_for_equal_file_names(tmp_path: Path) -> None:
    sources = [source(tmp_path / folder / name) for folder, name in (("a", "p.png"), ("b", "p.png"), ("a", "P.jpg"))]
    sources.append(source(tmp_path / "c" / "b" / "p.tif"))
    names = ["p", "b_p", "a_P", "b_p-2"]
    with ResultIndex.open(tmp_path / "out") as index:
        assert [index.assign_name(each, "") for each in sources] == names
    with ResultIndex.open(tmp_path / "out") as index:
        assert [index.assign_name(each, "") for each in reversed(sources)] == names[::-1]


def test_assign_name_avoids_names_of_tables(tmp_path: Path) -> None:
    with ResultIndex.open(tmp_path / "out") as index:
        assert index.assign_name(source(tmp_path / "in" / "COCO.png"), "") == "in_COCO"


@pytest.mark.parametrize("table_name", ["plantcv", "PlantCV"])
def test_open_renames_result_with_name_of_new_table(tmp_path: Path, table_name: str) -> None:
    image = source(tmp_path / "in" / f"{table_name}.png")
    with ResultIndex.open(tmp_path / "out"):
        pass
    database = sqlite3.connect(tmp_path / "out" / INDEX_FILENAME)
    with database:  # as an earlier version, which did not write this table
        row = (table_name, str(image.path.resolve()), "abc", "{}", "[]")
        database.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    with ResultIndex.open(tmp_path / "out") as index:
        assert index.finished_names() == []
        assert index.assign_name(image, "abc") == f"in_{table_name}"


def test_assign_name_follows_moved_file(tmp_path: Path) -> None:
    with ResultIndex.open(tmp_path / "out") as index:
        old = source(tmp_path / "card1" / "p.png")
        assert index.assign_name(old, "abc") == "p"
        index.mark_finished("p", ENTRY)
        old.path.unlink()
        assert index.assign_name(source(tmp_path / "card2" / "p.png"), "another") == "card2_p"
        assert index.assign_name(source(tmp_path / "archive" / "p.png"), "abc") == "p"


def test_get_entry_returns_only_finished_results(tmp_path: Path) -> None:
    with ResultIndex.open(tmp_path / "out") as index:
        name = index.assign_name(source(tmp_path / "p.png"), "abc")
        assert index.get_entry(name) is None
        assert index.finished_names() == []
        index.mark_finished(name, ENTRY)
    with ResultIndex.open(tmp_path / "out") as index:
        assert index.get_entry(name) == ENTRY
        assert index.finished_names() == [name]
        index.mark_unfinished(name)
        assert index.get_entry(name) is None


def test_open_rejects_second_run_in_folder(tmp_path: Path) -> None:
    with (
        ResultIndex.open(tmp_path),
        pytest.raises(ParameterError, match="another `thale analyze`"),
        ResultIndex.open(tmp_path),
    ):
        pass


def test_open_error_names_damaged_index(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILENAME).write_bytes(b"not a database" * 100)
    with pytest.raises(ParameterError, match=r"damaged.*delete it"), ResultIndex.open(tmp_path):
        pass


def test_open_error_names_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileAccessError, match="cannot be written"), ResultIndex.open(tmp_path / "file" / "out"):
        pass

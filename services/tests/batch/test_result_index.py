"""The ledger: one name for each source, for ever, and what is finished."""

from pathlib import Path

import pytest

from thale.batch.result_index import INDEX_FILENAME, ResultEntry, ResultIndex
from thale.batch.sources import Source
from thale.errors import ParameterError

ENTRY = ResultEntry("abc", "{}", frozenset({("plate-seg", "1.0.0", "sha256:1")}))


def source(path: Path, label: str | None = None) -> Source:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return Source(path, Path(label or path.name))


def test_equal_names_from_different_folders_get_names_of_their_own_and_keep_them(tmp_path: Path) -> None:
    sources = [source(tmp_path / folder / name) for folder, name in (("a", "p.png"), ("b", "p.png"), ("a", "P.jpg"))]
    sources.append(source(tmp_path / "c" / "b" / "p.tif"))
    names = ["p", "b_p", "a_P", "b_p-2"]
    with ResultIndex.open(tmp_path / "out") as ledger:
        assert [ledger.assign_name(each, "") for each in sources] == names
    with ResultIndex.open(tmp_path / "out") as ledger:
        assert [ledger.assign_name(each, "") for each in reversed(sources)] == names[::-1]


def test_names_of_the_tables_are_not_given_to_images(tmp_path: Path) -> None:
    with ResultIndex.open(tmp_path / "out") as ledger:
        assert ledger.assign_name(source(tmp_path / "in" / "COCO.png"), "") == "in_COCO"


def test_a_file_that_was_moved_keeps_its_name_and_another_one_in_its_place_does_not_get_it(tmp_path: Path) -> None:
    with ResultIndex.open(tmp_path / "out") as ledger:
        old = source(tmp_path / "card1" / "p.png")
        assert ledger.assign_name(old, "abc") == "p"
        ledger.mark_finished("p", ENTRY)
        old.path.unlink()
        assert ledger.assign_name(source(tmp_path / "card2" / "p.png"), "another") == "card2_p"
        assert ledger.assign_name(source(tmp_path / "archive" / "p.png"), "abc") == "p"


def test_only_what_is_finished_counts(tmp_path: Path) -> None:
    with ResultIndex.open(tmp_path / "out") as ledger:
        name = ledger.assign_name(source(tmp_path / "p.png"), "abc")
        assert ledger.get_entry(name) is None
        assert ledger.finished_names() == []
        ledger.mark_finished(name, ENTRY)
    with ResultIndex.open(tmp_path / "out") as ledger:
        assert ledger.get_entry(name) == ENTRY
        assert ledger.finished_names() == [name]
        ledger.remove(name)
        assert ledger.get_entry(name) is None


def test_two_runs_into_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        ResultIndex.open(tmp_path),
        pytest.raises(ParameterError, match="another `thale analyze`"),
        ResultIndex.open(tmp_path),
    ):
        pass


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / INDEX_FILENAME).write_bytes(b"no database" * 100)
    with pytest.raises(ParameterError, match=r"damaged.*delete it"), ResultIndex.open(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match="cannot be written"), ResultIndex.open(tmp_path / "file" / "out"):
        pass

"""Tests of the selection of images by files, folders and patterns."""

from pathlib import Path

import pytest

from thale.batch.sources import find_sources
from thale.errors import ParameterError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "a.overlay.png", "day1/a.tif", "day1/.cache/x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def labels(*arguments: object, recursive: bool = False) -> list[str]:
    return [
        source.label.as_posix() for source in find_sources([str(argument) for argument in arguments], recursive).images
    ]


def test_find_sources_sorts_folder_and_counts_other_files(photos: Path) -> None:
    found = find_sources([str(photos)])
    assert [source.label.name for source in found.images] == ["a.png", "b.JPG"]
    assert found.skipped == 2  # the notes and the overlay; hidden files are not counted


def test_find_sources_labels_are_relative_paths_when_recursive(photos: Path) -> None:
    assert labels(photos, recursive=True) == ["a.png", "b.JPG", "day1/a.tif"]


def test_find_sources_expands_patterns(photos: Path) -> None:
    assert labels(photos / "*.png") == ["a.png"]
    assert labels(photos / "**" / "*.tif") == ["a.tif"]


def test_find_sources_prefers_file_over_pattern(photos: Path) -> None:
    (photos / "plate[1].png").touch()
    assert labels(photos / "plate[1].png") == ["plate[1].png"]


def test_find_sources_returns_each_image_once(photos: Path) -> None:
    assert labels(photos / "a.png", photos, photos / "day1" / ".." / "*.png") == ["a.png", "b.JPG"]


def test_find_sources_includes_explicit_file_of_any_suffix(photos: Path) -> None:
    assert labels(photos / "notes.txt") == ["notes.txt"]


@pytest.mark.parametrize("argument", ["gone.png", "gone/*.png"])
def test_find_sources_rejects_argument_without_match(photos: Path, argument: str) -> None:
    with pytest.raises(ParameterError, match="gone"):
        find_sources([str(photos / argument)])

"""What the words on a command line mean: files, folders, patterns, each image once."""

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


def test_a_folder_gives_its_images_sorted_and_counts_the_rest(photos: Path) -> None:
    found = find_sources([str(photos)])
    assert [source.label.name for source in found.images] == ["a.png", "b.JPG"]
    assert found.skipped == 2  # the notes and the overlay; hidden files are not even counted


def test_a_folder_with_all_below_it_keeps_the_way_down_in_the_label(photos: Path) -> None:
    assert labels(photos, recursive=True) == ["a.png", "b.JPG", "day1/a.tif"]


def test_patterns_that_the_shell_left_alone_are_understood(photos: Path) -> None:
    assert labels(photos / "*.png") == ["a.png"]
    assert labels(photos / "**" / "*.tif") == ["a.tif"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(photos: Path) -> None:
    (photos / "plate[1].png").touch()
    assert labels(photos / "plate[1].png") == ["plate[1].png"]


def test_an_image_that_is_meant_twice_is_found_once(photos: Path) -> None:
    assert labels(photos / "a.png", photos, photos / "day1" / ".." / "*.png") == ["a.png", "b.JPG"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(photos: Path) -> None:
    assert labels(photos / "notes.txt") == ["notes.txt"]


@pytest.mark.parametrize("word", ["gone.png", "gone/*.png"])
def test_a_word_that_means_nothing_is_an_error(photos: Path, word: str) -> None:
    with pytest.raises(ParameterError, match="gone"):
        find_sources([str(photos / word)])

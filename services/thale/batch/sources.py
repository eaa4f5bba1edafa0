"""Which images the words on a command line mean."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from thale.errors import ParameterError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})
OVERLAY_SUFFIX = ".overlay.png"
_GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """One image to measure. `label` is its path below the folder that was named: `day1/plate.jpg`."""

    path: Path
    label: Path


@dataclass(frozen=True)
class Sources:
    """The images that were found, in the order of the words, and how many other files the folders hold."""

    images: tuple[Source, ...]
    skipped: int


def find_sources(arguments: Sequence[str], recursive: bool = False) -> Sources:
    """Return the images that files, folders and patterns mean, each once.

    A file that is named is taken whatever it is called, so that a mistake is told and not passed over. Of a folder
    or a pattern, the files that are called like images are taken; hidden files and overlays are not.

    Raises:
        ParameterError: If a word means nothing that exists.
    """
    images: dict[Path, Source] = {}
    skipped = 0
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            folder_sources = _find_in_folder(path, recursive)
        elif path.exists():
            images.setdefault(path.resolve(), Source(path, Path(path.name)))
            continue
        elif _GLOB_CHARACTERS & set(argument):
            folder_sources = _find_matches(path, recursive)
        else:
            raise ParameterError(f"there is no file or folder {argument!r}")
        for source in folder_sources:
            if _has_image_suffix(source.path):
                images.setdefault(source.path.resolve(), source)
            else:
                skipped += 1
    return Sources(tuple(images.values()), skipped)


def _has_image_suffix(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.lower().endswith(OVERLAY_SUFFIX)


def _find_in_folder(folder: Path, recursive: bool) -> Iterator[Source]:
    yield from _list_files(folder, folder.rglob("*") if recursive else folder.iterdir())


def _find_matches(pattern: Path, recursive: bool) -> Iterator[Source]:
    paths = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)
    matches = sorted(Path(match) for match in paths)
    if not matches:
        raise ParameterError(f"no file matches {str(pattern)!r}")
    for match in matches:
        if match.is_dir():
            yield from _find_in_folder(match, recursive)
        else:
            yield Source(match, Path(match.name))


def _list_files(folder: Path, paths: Iterable[Path]) -> Iterator[Source]:
    for path in sorted(paths):
        label = path.relative_to(folder)
        is_hidden = any(name.startswith(".") for name in label.parts)
        if not is_hidden and path.is_file():
            yield Source(path, label)

"""Images selected by command-line arguments: files, folders and patterns."""

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
    """One image to measure. `label` is its path relative to the given folder, such as `day1/plate.jpg`."""

    path: Path
    label: Path


@dataclass(frozen=True)
class Sources:
    """The selected images in the order of the arguments, and the number of other files in the folders."""

    images: tuple[Source, ...]
    skipped: int


def find_sources(arguments: Sequence[str], recursive: bool = False) -> Sources:
    """Return the images of files, folders and patterns, each once.

    An explicit file is included with any suffix, so that a mistake causes an error instead of a silent skip. From a
    folder or a pattern, only files with an image suffix are included, without hidden files and overlays.

    Raises:
        ParameterError: If an argument matches no file.
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

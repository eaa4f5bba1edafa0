"""Images selected by command-line arguments: files, folders and patterns.

What cannot be measured is not passed over: an unreadable folder, a broken link and a file that is no regular file are
failures, and omitted files and folders are listed.
"""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thale.errors import ParameterError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".heic", ".heif"})
UNSUPPORTED_SUFFIXES = frozenset(
    {".avif", ".webp", ".bmp", ".gif", ".jp2", ".jxl", ".psd"}
    | {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"}
)
"""Suffixes of photographs in formats that thale cannot decode."""
OVERLAY_SUFFIX = ".overlay.png"
_GLOB_CHARACTERS = frozenset("*?[")
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}


@dataclass(frozen=True)
class Source:
    """One image to measure. `label` is its printable path relative to the given folder, such as `day1/plate.jpg`."""

    path: Path
    label: Path

    @property
    def shown_path(self) -> str:
        """The path as printable text. Bytes of another encoding than UTF-8 are replaced."""
        return printable(str(self.path))


@dataclass
class Sources:
    """The selected images in the order of the arguments, and what was not selected."""

    images: tuple[Source, ...] = ()
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of each file or folder that cannot be read."""
    unsupported: list[str] = field(default_factory=list)
    """Photographs in formats that thale cannot decode."""
    omitted_folders: list[str] = field(default_factory=list)
    """Sub-folders of a folder that is not read recursively."""
    skipped: int = 0
    """Number of other files in the folders."""


def printable(text: str) -> str:
    """Return a path or name without the surrogates that stand for bytes of another encoding than UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def identity(path: Path) -> Path:
    """Return the path that identifies a source. Links of folders are resolved, so that each image is measured once.

    The link of a photograph is not: two links with two names are two replicates.
    """
    return path.parent.resolve() / path.name


def find_sources(arguments: Sequence[str], recursive: bool = False) -> Sources:
    """Return the images of files, folders and patterns, each once.

    An explicit file is included with any suffix, so that a mistake causes an error instead of a silent skip. From a
    folder or a pattern, only files with an image suffix are included, without hidden files and overlays.

    Raises:
        ParameterError: If an argument matches no file.
    """
    search = _Search(recursive)
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            search.add_folder(path)
        elif os.path.lexists(path):
            search.add_image(path, Path(path.name))
        elif _GLOB_CHARACTERS & set(argument):
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute patterns)
            if not matches:
                raise ParameterError(f"no file matches {printable(str(path))!r}")
            for match in map(Path, matches):
                search.add_folder(match) if match.is_dir() else search.add_file(match, Path(match.name))
        else:
            raise ParameterError(f"there is no file or folder {printable(argument)!r}")
    search.found.images = tuple(search.images.values())
    return search.found


class _Search:
    """The files found so far."""

    def __init__(self, recursive: bool) -> None:
        self._recursive = recursive
        self.images: dict[Path, Source] = {}
        self.found = Sources()

    def add_folder(self, folder: Path) -> None:
        for path in sorted(self._list_files(folder)):
            self.add_file(path, path.relative_to(folder))

    def add_file(self, path: Path, label: Path) -> None:
        """Add a file of a folder or a pattern, by its suffix."""
        suffix = path.suffix.lower()
        if suffix in UNSUPPORTED_SUFFIXES:
            self.found.unsupported.append(printable(str(path)))
        elif suffix in IMAGE_SUFFIXES and not path.name.lower().endswith(OVERLAY_SUFFIX):
            self.add_image(path, label)
        else:
            self.found.skipped += 1

    def add_image(self, path: Path, label: Path) -> None:
        """Add an image, or a failure if it is no regular file. Opening a named pipe would wait forever."""
        key = identity(path)
        if key in self.images:
            return
        try:
            mode = path.stat().st_mode
        except OSError as error:
            target = f" (a link to {printable(str(path.readlink()))})" if path.is_symlink() else ""
            self.found.failures.append((printable(str(path)), f"the file cannot be read: {error.strerror}{target}"))
            return
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
            self.found.failures.append((printable(str(path)), f"{kind} cannot be measured: pass an image file"))
            return
        self.images[key] = Source(path, Path(printable(str(label))))

    def _list_files(self, folder: Path) -> Iterator[Path]:
        """Yield the files of a folder, without hidden ones, and record the folders that are not read."""

        def record(error: OSError) -> None:
            path = os.fsdecode(error.filename or folder)
            self.found.failures.append((printable(path), f"the folder cannot be read: {error.strerror}"))

        for parent, folders, files in os.walk(folder, onerror=record):
            visible = sorted(name for name in folders if not name.startswith("."))
            if self._recursive:
                folders[:] = visible
            else:
                folders.clear()
                self.found.omitted_folders += [printable(str(Path(parent, name))) for name in visible]
            yield from (Path(parent, name) for name in files if not name.startswith("."))

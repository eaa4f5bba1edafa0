"""Watched folder: its complete new images are added to an experiment and measured.

The folder is polled, because network drives report no changes of other machines. The state is the experiment on the
server: images are recognised by the digest of their bytes, so that a restart measures nothing twice (ADR 0149).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from thale.batch.sources import Source, find_sources
from thale.errors import (
    AuthenticationUnavailableError,
    DeadlineExceededError,
    ExperimentStoreError,
    ImageError,
    ModelFailedError,
    ModelUnavailableError,
    OverloadedError,
    ParameterError,
    RateLimitedError,
    ScaleError,
    ServerError,
    ShuttingDownError,
    ThaleError,
    UploadTimeoutError,
)

_REFUSED = (ImageError, ScaleError, ParameterError, ModelFailedError)
"""Errors of one image. It is sent again only after its file has changed."""
_TEMPORARY = (
    AuthenticationUnavailableError,
    DeadlineExceededError,
    ExperimentStoreError,
    ModelUnavailableError,
    OverloadedError,
    RateLimitedError,
    ServerError,
    ShuttingDownError,
    UploadTimeoutError,
)
"""Errors of the server's state. The image is sent again later."""
MAX_FILE_BYTES = 2**30
"""Maximum size of a file that is read into memory."""


@dataclass(frozen=True)
class Fingerprint:
    """State of a file. It changes if the file is written, replaced, or given other permissions."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Fingerprint":
        """Return the state of a file. Raises OSError if it cannot be read."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass
class PollResult:
    """Numbers of one poll. `is_interrupted` means that the server or the folder was unavailable."""

    measured: int = 0
    known: int = 0
    failed: int = 0
    is_interrupted: bool = False


class FolderWatch:
    """Adds new images of a folder, each once.

    Args:
        folder: The watched folder.
        add: Adds one image to the experiment by its bytes and name, and measures it.
        known: Hexadecimal SHA-256 digests of the measured images of the experiment.
        report: Receives a path and the reason why it was not measured, once for each state of the file.
        recursive: Include subfolders.
    """

    def __init__(
        self,
        folder: Path,
        add: Callable[[bytes, str], object],
        known: Iterable[str],
        report: Callable[[str, str], None],
        *,
        recursive: bool = False,
    ) -> None:
        self._folder = folder
        self._add = add
        self._known = set(known)
        self._report = report
        self._recursive = recursive
        self._seen: dict[Path, Fingerprint] = {}
        self._done: dict[Path, Fingerprint] = {}
        self._reported: set[tuple[str, str]] = set()

    def poll(self) -> PollResult:
        """Add the images whose files did not change since the previous poll.

        Raises:
            ThaleError: If the server refuses all images, for example without the experiment or with a wrong key.
        """
        result = PollResult()
        problems: set[tuple[str, str]] = set()
        try:
            for source, fingerprint in self._find_complete(problems):
                self._add_file(source, fingerprint, result, problems)
        except _UnavailableError as error:
            result.is_interrupted = True
            problems.add((str(self._folder), str(error)))
        for problem in sorted(problems - self._reported):
            self._report(*problem)
        # A problem that is gone is reported again if it comes back.
        self._reported = problems
        return result

    def _find_complete(self, problems: set[tuple[str, str]]) -> list[tuple[Source, Fingerprint]]:
        """Return the files that are neither handled nor still being written."""
        try:
            sources = find_sources([str(self._folder)], self._recursive)
        except ParameterError as error:
            raise _UnavailableError(
                f"the folder cannot be found, as after the loss of a network drive: {error}"
            ) from error
        problems.update(sources.failures)
        problems.update((path, "thale cannot decode this format: convert it to TIFF") for path in sources.unsupported)
        seen: dict[Path, Fingerprint] = {}
        complete = []
        for source in sources.images:
            if source.path.name.startswith("~"):
                continue
            try:
                fingerprint = seen[source.path] = Fingerprint.of(source.path)
            except OSError:
                continue  # it was renamed or deleted after the listing
            is_stable = self._seen.get(source.path) == fingerprint
            if is_stable and self._done.get(source.path) != fingerprint:
                complete.append((source, fingerprint))
        self._seen = seen
        self._done = {path: done for path, done in self._done.items() if path in seen}
        return complete

    def _add_file(
        self, source: Source, fingerprint: Fingerprint, result: PollResult, problems: set[tuple[str, str]]
    ) -> None:
        if fingerprint.size_bytes > MAX_FILE_BYTES:
            problems.add((source.shown_path, f"the file exceeds {MAX_FILE_BYTES} bytes: export a smaller image"))
            return
        try:
            data = source.path.read_bytes()
            if Fingerprint.of(source.path) != fingerprint:
                return  # it is being written again
        except FileNotFoundError:
            return
        except OSError as error:
            problems.add((source.shown_path, f"the file cannot be read: {error.strerror}"))
            return
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in self._known:
            result.known += 1
        else:
            try:
                self._add(data, source.path.name)
            except _REFUSED as error:
                result.failed += 1
                self._report(source.shown_path, str(error))
            except _TEMPORARY as error:
                raise _UnavailableError(f"the server cannot measure now, retrying: {error}") from error
            else:
                result.measured += 1
                self._known.add(sha256)
        self._done[source.path] = fingerprint


class _UnavailableError(ThaleError):
    """The rest of a poll is impossible."""

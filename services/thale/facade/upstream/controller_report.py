"""Report of the rollout controller, from its checkpoint: a file on one machine, a mounted ConfigMap in a cluster.

A mounted ConfigMap is up to about a minute older than the checkpoint, because the kubelet refreshes it periodically.
"""

import logging
from pathlib import Path

from pydantic import ValidationError

from thale.schemas.release_status import ControllerReport

logger = logging.getLogger(__name__)

_MAX_BYTES = 4 * 2**20
"""A ConfigMap has at most 1 MiB."""


class ControllerReportFile:
    """Last report in a file. It is parsed again after a change of the file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file_version: tuple[int, int, int] | None = None
        self._report: ControllerReport | None = None
        self._last_error = ""

    @property
    def is_configured(self) -> bool:
        """True if the server has access to the reports."""
        return self._path is not None

    def read(self) -> ControllerReport | None:
        """Return the last report. None if there is no file, or the file is not a report, which is logged. Blocks."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
            file_version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if file_version == self._file_version:
                return self._report
            self._report = None
            if status.st_size > _MAX_BYTES:
                raise ValueError(f"{status.st_size} bytes, more than {_MAX_BYTES}")
            self._report = ControllerReport.model_validate_json(self._path.read_bytes())
            self._file_version = file_version
            self._last_error = ""
        except FileNotFoundError:
            self._report = self._file_version = None
        except (OSError, ValueError) as error:
            text = f"{error.error_count()} invalid fields" if isinstance(error, ValidationError) else str(error)
            if text != self._last_error:
                logger.warning("controller report unreadable", extra={"path": str(self._path), "error": text})
            self._report, self._file_version, self._last_error = None, None, text
        return self._report

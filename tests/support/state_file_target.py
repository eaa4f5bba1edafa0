"""An actuator that keeps the record and serves nobody: for what happens between releases and their watcher."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thale.errors import ActuatorError, ConflictError, UnknownModelError
from thale.files import write_atomically
from thale.release.targets import Held, revision_of
from thale.schemas import Release, ReleasedVersion, ReleaseRecord


@dataclass(frozen=True)
class RecordActuator:
    """Several processes may change the file. It cannot be read while `PATH.away` exists."""

    path: Path

    def models(self) -> Sequence[str]:
        return sorted(self._record().models)

    def read(self, model: str) -> Held:
        record = self._record()
        if model not in record.models:
            raise UnknownModelError(model, sorted(record.models))
        return Held(record.models[model], revision_of(record.models[model]))

    def find(self, model: str, version: str) -> ReleasedVersion:
        raise NotImplementedError

    def apply(self, before: Held, after: Release) -> Held:
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.read(after.name).revision != before.revision:
                raise ConflictError("changed in between")
            self.put(after)
        finally:
            os.close(lock)
        return Held(after, revision_of(after))

    def put(self, *releases: Release) -> None:
        """Write releases, whatever was there before."""
        models = self._record().models if self.path.exists() else {}
        record = ReleaseRecord(models={**models, **{release.name: release for release in releases}})
        write_atomically(self.path, record.model_dump_json().encode())

    @property
    def away(self) -> Path:
        return self.path.with_suffix(".away")

    def _record(self) -> ReleaseRecord:
        if self.away.exists():
            raise ActuatorError("the record is away")
        return ReleaseRecord.model_validate_json(self.path.read_bytes())

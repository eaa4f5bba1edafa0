"""Release target that only stores the release state, for tests of the controller."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from thale.errors import ConflictError, TargetError, UnknownModelError
from thale.host.files import exclusive_lock, write_atomically
from thale.release.targets import VersionedRelease, compute_revision
from thale.schemas import Release, ReleaseState, VersionManifest


@dataclass(frozen=True)
class StateFileTarget:
    """Release state in a file that several processes may change. Reads fail while `unreadable_marker` exists."""

    path: Path

    def models(self) -> Sequence[str]:
        return sorted(self._read_state().models)

    def read(self, model: str) -> VersionedRelease:
        state = self._read_state()
        if model not in state.models:
            raise UnknownModelError(model, sorted(state.models))
        return VersionedRelease(state.models[model], compute_revision(state.models[model]))

    def find(self, model: str, version: str) -> VersionManifest:
        raise NotImplementedError

    def unused(self, model: str) -> Sequence[str]:
        return ()

    def drop(self, model: str, versions: Collection[str]) -> None:
        raise NotImplementedError

    def apply(self, before: VersionedRelease, after: Release) -> VersionedRelease:
        with exclusive_lock(self.path.with_suffix(".lock")):
            if self.read(after.name).revision != before.revision:
                raise ConflictError("the release changed concurrently")
            self.put(after)
        return VersionedRelease(after, compute_revision(after))

    def put(self, *releases: Release) -> None:
        """Write releases without a revision check."""
        models = self._read_state().models if self.path.exists() else {}
        state = ReleaseState(models={**models, **{release.name: release for release in releases}})
        write_atomically(self.path, state.model_dump_json().encode())

    @property
    def unreadable_marker(self) -> Path:
        return self.path.with_suffix(".unreadable")

    def _read_state(self) -> ReleaseState:
        if self.unreadable_marker.exists():
            raise TargetError("the release state cannot be read")
        return ReleaseState.model_validate_json(self.path.read_bytes())

"""Completed steps of an environment, each with the digest of its inputs."""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.errors import DeployError
from thale.host.files import write_atomically


class CompletedStep(BaseModel):
    """A completed step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs_digest: str
    """Digest of the step's inputs; empty for a step that always runs."""
    at: datetime


class State(BaseModel):
    """The completed steps of an environment, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Mapping[str, CompletedStep] = {}
    cluster: str = ""
    """Identity of the cluster that the steps after its creation ran on."""

    @classmethod
    def read(cls, path: Path) -> "State":
        """Read the state; empty if there is no file.

        Raises:
            DeployError: If the file is invalid.
        """
        if not path.exists():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DeployError(
                f"{path} is not a valid deploy state; delete it to run every step again: {error}"
            ) from error

    def with_completed(self, step: str, inputs_digest: str) -> "State":
        """Return the state with one more step, completed now."""
        completed = CompletedStep(inputs_digest=inputs_digest, at=datetime.now(UTC))
        return self.model_copy(update={"steps": {**self.steps, step: completed}})

    def for_cluster(self, identity: str, steps: Container[str]) -> "State":
        """Return the state for a cluster: of another one, only the given steps are kept.

        Args:
            identity: Identity of the cluster (`Cluster.identity`).
            steps: Steps that do not depend on the cluster.
        """
        if identity == self.cluster:
            return self
        return State(cluster=identity, steps={name: step for name, step in self.steps.items() if name in steps})

    def is_current(self, step: str, inputs_digest: str) -> bool:
        """Return whether the step was completed with these inputs."""
        return bool(inputs_digest) and step in self.steps and self.steps[step].inputs_digest == inputs_digest

    def write(self, path: Path) -> None:
        """Store the state."""
        write_atomically(path, self.model_dump_json(indent=2).encode())


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON-serialisable value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_files(root: Path, paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files: their names below `root`, executable bits, and contents."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)}\0{executable}\0{content}\n".encode())
    return digest.hexdigest()

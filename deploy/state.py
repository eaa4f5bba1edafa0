"""What has been done: the steps that are finished, each with the digest of what it was made from."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.errors import DeployError
from thale.files import write_atomically


class CompletedStep(BaseModel):
    """A step that was finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs_digest: str
    """Digest of what it was made from; empty for a step that only looks."""
    at: datetime


class State(BaseModel):
    """The finished steps of an environment, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Mapping[str, CompletedStep] = {}

    @classmethod
    def read(cls, path: Path) -> "State":
        """Return what the file says; nothing where there is none.

        Raises:
            DeployError: If it is no state file.
        """
        if not path.exists():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DeployError(
                f"{path} is no state of a deploy; delete it, and every step looks anew: {error}"
            ) from error

    def with_completed(self, step: str, inputs_digest: str) -> "State":
        """Return the state with one more step finished now."""
        return State(steps={**self.steps, step: CompletedStep(inputs_digest=inputs_digest, at=datetime.now(UTC))})

    def is_current(self, step: str, inputs_digest: str) -> bool:
        """Whether the step was finished with these inputs."""
        return bool(inputs_digest) and step in self.steps and self.steps[step].inputs_digest == inputs_digest

    def write(self, path: Path) -> None:
        """Keep it."""
        write_atomically(path, self.model_dump_json(indent=2).encode())


def digest(value: object) -> str:
    """Return the SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_files(root: Path, paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files: of their names below `root`, whether they can be executed, and their bytes."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)}\0{executable}\0{content}\n".encode())
    return digest.hexdigest()

"""Errors of a deploy.

DeployError
├── CommandError               a command failed, with the end of its output
│   └── ClusterUnreachableError  the cluster does not respond, or the kubeconfig gives no access to it
├── SettingsError              the environment's settings are invalid
├── PrerequisitesMissingError  preflight: all missing prerequisites at once
├── StepOrderError             a step needs an artifact of an earlier step
├── UnexpectedOutputError      a command returned output that cannot be parsed
├── WrongClusterError          the cluster belongs to another environment
├── ReleaseChangedError        `thale release` changed a release during the deploy
├── NotReadyError              an object did not become ready in time
├── SmokeError                 the smoke test failed
└── ForbiddenOperationError    a protected environment, or a destroy without confirmation
"""

from collections.abc import Sequence
from dataclasses import dataclass


class DeployError(Exception):
    """A deploy cannot continue; the message has the reason and the remedy."""


class CommandError(DeployError):
    """A command failed or could not be started."""

    _TAIL_LINES = 30

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        tail = "\n".join(output.strip().splitlines()[-self._TAIL_LINES :])
        super().__init__(f"`{' '.join(command)}` failed with status {status}:\n{tail}")
        self.status = status
        self.output = output


class ClusterUnreachableError(CommandError):
    """The cluster cannot be used; the message is one sentence with the remedy."""

    def __init__(self, error: CommandError, problem: str, remedy: str) -> None:
        super().__init__((), error.status, error.output)
        self.problem, self.remedy = problem, remedy
        self.args = (f"{problem}: {remedy}",)


class SettingsError(DeployError):
    """The environment's settings are invalid."""


@dataclass(frozen=True)
class MissingPrerequisite:
    """One missing prerequisite of a deploy."""

    description: str
    remedy: str
    """How to provide it: a command where one exists."""


class PrerequisitesMissingError(DeployError):
    """Prerequisites of a deploy are missing."""

    def __init__(self, missing: Sequence[MissingPrerequisite]) -> None:
        lines = [f"  {number}. {each.description}\n     {each.remedy}" for number, each in enumerate(missing, start=1)]
        super().__init__("\n".join([f"{len(missing)} missing:", *lines]))
        self.missing = tuple(missing)


class StepOrderError(DeployError):
    """A step needs an artifact of an earlier step."""

    def __init__(self, artifact: str, step: str, environment: str) -> None:
        super().__init__(f"{artifact} does not exist yet: run `python -m deploy {step} --env {environment}` first")


class UnexpectedOutputError(DeployError):
    """A command returned output that cannot be parsed."""


class WrongClusterError(DeployError):
    """The cluster belongs to another environment."""


class ReleaseChangedError(DeployError):
    """`thale release` changed a release during the deploy."""


class NotReadyError(DeployError):
    """An object did not become ready in time."""


class SmokeError(DeployError):
    """The smoke test failed: no response, or traits out of tolerance."""


class ForbiddenOperationError(DeployError):
    """The operation is forbidden for this environment."""


def describe_file_error(error: OSError) -> str:
    """Return one sentence about a file that cannot be read or written, as in a read-only checkout."""
    return f"{error.filename or 'a file'}: {error.strerror or error}: run it in a checkout that you may write to"

"""What goes wrong in a deploy.

DeployError
├── CommandError         a program failed: what was run, and the end of what it said
├── SettingsError        the environment's settings cannot be read
├── MissingError         preflight: everything that is missing, at once
├── NotYetError          a step needs what an earlier step makes
├── UnexpectedOutputError  a program answered something that it never should
├── WrongPlaceError      the cluster is another environment's
├── ReleaseChangedError  `thale release` changed a release while it was being deployed
├── NotReadyError        something did not get ready in time
├── SmokeError           the answer is not that plate's
└── RefusedError         what must not be done: destroying what is protected, or without its name
"""

from collections.abc import Sequence
from dataclasses import dataclass


class DeployError(Exception):
    """A deploy cannot go on; the message says why, and what to do."""


class CommandError(DeployError):
    """A program failed."""

    _TAIL_LINES = 30

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        tail = "\n".join(output.strip().splitlines()[-self._TAIL_LINES :])
        super().__init__(f"`{' '.join(command)}` failed with status {status}:\n{tail}")
        self.status = status
        self.output = output


class SettingsError(DeployError):
    """The environment's settings cannot be read."""


@dataclass(frozen=True)
class MissingPrerequisite:
    """One thing that a deploy needs and does not find."""

    description: str
    remedy: str
    """How to get it: a command, where one does it."""


class PrerequisitesMissingError(DeployError):
    """Things that a deploy needs are not there."""

    def __init__(self, missing: Sequence[MissingPrerequisite]) -> None:
        lines = [f"  {number}. {each.description}\n     {each.remedy}" for number, each in enumerate(missing, start=1)]
        super().__init__("\n".join([f"{len(missing)} missing:", *lines]))
        self.missing = tuple(missing)


class StepOrderError(DeployError):
    """A step needs what an earlier step makes."""

    def __init__(self, artifact: str, step: str, environment: str) -> None:
        super().__init__(f"{artifact} is not there yet: run `python -m deploy {step} --env {environment}` first")


class UnexpectedOutputError(DeployError):
    """A program answered something that it never should."""


class WrongClusterError(DeployError):
    """The cluster is another environment's."""


class ReleaseChangedError(DeployError):
    """`thale release` changed a release while it was being deployed."""


class NotReadyError(DeployError):
    """Something did not get ready in time."""


class SmokeError(DeployError):
    """The cluster's answer is not the plate's."""


class ForbiddenError(DeployError):
    """What must not be done."""

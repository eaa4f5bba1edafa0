"""Which version of which model answers a request: the release record, and what the request itself asks for."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from thale.contract import Release, ReleasedVersion, ReleaseRecord, Task
from thale.errors import ModelTaskError, ModelUnavailableError, ParameterError, UnknownModelError, UnknownVersionError

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Pin:
    """A model that a request asks for by name, and perhaps by version."""

    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `plate-seg` or `plate-seg@1.0.0`.

        Raises:
            ParameterError: If it is neither.
        """
        name, at, version = text.partition("@")
        if not name or (at and not version) or "@" in version:
            raise ParameterError(f"model={text!r} is not understood: write name or name@version, as plate-seg@1.0.0")
        return cls(name, version or None)


@dataclass(frozen=True)
class Choice:
    """The model version that answers one question of one request, its archive, and the weights that lie in it."""

    name: str
    version: str
    task: Task
    digest: str
    weights_digest: str

    @classmethod
    def of(cls, released: ReleasedVersion) -> Self:
        """Return a released version as the choice."""
        card = released.card
        return cls(card.name, card.version, card.task, released.digest, f"sha256:{card.weights_sha256}")


def choose(
    record: ReleaseRecord,
    task: Task,
    default: str,
    *,
    experiment: str | None,
    request_id: str,
    pins: Sequence[Pin] = (),
) -> Choice:
    """Return who answers: the version that the request pins, else the stable one.

    Args:
        record: What is released.
        task: The question.
        default: The model that answers it where no pin names another.
        experiment: What the split sticks to: a time series is measured by one version.
        request_id: What the split sticks to where there is no experiment.
        pins: The models that the request names, for any task.

    Raises:
        UnknownModelError: If a pin names no released model.
        UnknownVersionError: If the pinned model has no such version.
        ParameterError: If two pins name models of this task.
        ModelUnavailableError: If the default model is not released.
    """
    pinned = [pin for pin in pins if find(record, pin.name).task == task]
    if len(pinned) > 1:
        raise ParameterError(f"two models for {task} are asked for, {pinned[0].name} and {pinned[1].name}: name one")
    if not pinned:
        if default not in record.models:
            raise ModelUnavailableError(f"no model for {task} is released yet: {default!r} is awaited")
        model = record.models[default]
        return Choice.of(model.versions[model.stable])
    return pinned_choice(record, pinned[0], task)


def pinned_choice(record: ReleaseRecord, pin: Pin, task: Task) -> Choice:
    """Return the version that a pin means, the stable one where it names none.

    Raises:
        UnknownModelError: If no such model is released.
        UnknownVersionError: If it has no such version.
        ModelTaskError: If the model answers another question.
    """
    model = find(record, pin.name)
    if model.task != task:
        raise ModelTaskError(f"{pin.name} is a model for {model.task}, and {task} is asked for")
    version = pin.version or model.stable
    if version not in model.versions:
        raise UnknownVersionError(pin.name, version, sorted(model.versions))
    return Choice.of(model.versions[version])


def find(record: ReleaseRecord, name: str) -> Release:
    """Return a released model.

    Raises:
        UnknownModelError: If there is none of that name.
    """
    try:
        return record.models[name]
    except KeyError:
        raise UnknownModelError(name, sorted(record.models)) from None


class RecordFile:
    """The release record as a file, read again when it has changed, looked at once a second at most.

    A rewrite that cannot be read is logged, and the record before it stays in force: a bad file stops nobody.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._record: ReleaseRecord | None = None
        self._seen: tuple[int, int, int] | None = None
        self._look_at = 0.0

    def current(self) -> ReleaseRecord:
        """Return what is released now.

        Raises:
            ModelUnavailableError: If there was never a record that can be read.
        """
        if time.monotonic() >= self._look_at:
            self._look()
            self._look_at = time.monotonic() + (_LOOK_AGAIN_S if self._record else 0.0)
        if self._record is None:
            raise ModelUnavailableError("no model is released yet: the release record is missing or cannot be read")
        return self._record

    def _look(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._seen = seen
            self._record = ReleaseRecord.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            logger.error("release record cannot be read", extra={"path": str(self._path), "error": str(error)})
        else:
            models = {name: model.stable for name, model in self._record.models.items()}
            logger.info("release record read", extra={"models": models})

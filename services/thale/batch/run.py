"""Measurement of many images, some at a time, with resumption of an earlier run."""

import errno
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Unpack

from thale._version import __version__
from thale.batch.large_images import UPLOAD_LIMIT_BYTES, pack_losslessly
from thale.batch.result_index import WRITE_FAILURE, ModelIdentity, ResultEntry, ResultIndex
from thale.batch.result_names import is_shortened, preferred_name
from thale.batch.results import is_complete, remove_result, write_result
from thale.batch.sources import Source, printable
from thale.client import Parameters
from thale.errors import (
    DamagedImageError,
    DeadlineExceededError,
    FileAccessError,
    ForbiddenError,
    ModelError,
    ParameterError,
    RateLimitedError,
    ServerError,
    ThaleError,
    UnauthenticatedError,
    UnknownModelError,
    UnknownVersionError,
    WrongTaskError,
)
from thale.host.files import access_errors
from thale.imaging.image_io import read_header
from thale.schemas import ModelInfo, Phenotype

CONCURRENCY = 2
"""Images that a server measures at a time for one run."""
_MAX_CONSECUTIVE_FAILURES = 5
_FATAL_ERRORS = (
    ParameterError,
    UnknownModelError,
    UnknownVersionError,
    WrongTaskError,
    UnauthenticatedError,
    ForbiddenError,
    RateLimitedError,
)
"""Errors that all following images would get too. Before a RateLimitedError, the client has retried the request."""
_ERRORS_OF_ONE_RESULT = frozenset({errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG})
"""Errors of the name of one result: a folder has the name of its file, or a file the name of its folder."""


class Measurer(Protocol):
    """Measures images: the client of a server, or the batch engine."""

    def models(self) -> Collection[ModelInfo]:
        """Return the models with their versions and traffic."""

    def is_ready(self) -> bool:
        """Return False if no further image can be measured."""

    def phenotype(self, image: Path | bytes, **parameters: Unpack[Parameters]) -> Phenotype:
        """Measure an image.

        Raises:
            ThaleError: If it cannot be measured.
        """


OutcomeCallback = Callable[["ImageOutcome"], None]


@dataclass(frozen=True)
class ImageOutcome:
    """Outcome for one image. `skipped` means that a valid result of an earlier run exists."""

    source: Source
    kind: Literal["measured", "skipped", "failed"]
    name: str = ""
    sha256: str = ""
    reason: str = ""


@dataclass
class BatchSummary:
    """Outcomes of all images of a run."""

    outcomes: list[ImageOutcome] = field(default_factory=list)

    def by_kind(self, kind: Literal["measured", "skipped", "failed"]) -> list[ImageOutcome]:
        """Return the outcomes of one kind."""
        return [outcome for outcome in self.outcomes if outcome.kind == kind]

    def renamed_outcomes(self) -> list[ImageOutcome]:
        """Return the outcomes whose result name differs from the file name, because another file has that name."""
        return [o for o in self.outcomes if o.name and o.name != preferred_name(o.source)]

    def shortened_outcomes(self) -> list[ImageOutcome]:
        """Return the outcomes whose file name is too long for the names of the results."""
        return [o for o in self.outcomes if o.name and is_shortened(o.source)]

    def duplicates(self) -> list[tuple[ImageOutcome, ImageOutcome]]:
        """Return pairs of a byte-identical copy and its original."""
        original_by_digest: dict[str, ImageOutcome] = {}
        pairs = [
            (outcome, original_by_digest.setdefault(outcome.sha256, outcome))
            for outcome in self.outcomes
            if outcome.sha256
        ]
        return [(copy, original) for copy, original in pairs if copy is not original]


@dataclass(frozen=True)
class TableContent:
    """Names of the results in the tables of a run, and of results in its folder that are not in them.

    `from_earlier_runs` have photographs that this run does not name. `with_other_inputs` have other parameters, other
    models or another version of thale.
    """

    names: list[str]
    from_earlier_runs: list[str]
    without_photograph: list[str]
    with_other_inputs: list[str]


@dataclass(frozen=True)
class _ImageJob:
    """One image to measure, with its result name."""

    source: Source
    name: str
    sha256: str


class BatchRun:
    """One run over a folder of results."""

    def __init__(
        self,
        client: Measurer,
        index: ResultIndex,
        folder: Path,
        parameters: Parameters,
        on_outcome: OutcomeCallback,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._client = client
        self._concurrency = concurrency
        self._index = index
        self._folder = folder
        self._parameters = parameters
        self._on_outcome = on_outcome
        # A time limit changes no result.
        measured_with = {name: value for name, value in parameters.items() if name != "timeout_s"}
        self._parameters_json = json.dumps({**measured_with, "thale": __version__}, sort_keys=True)
        self._sources: Sequence[Source] = ()
        self._serving_versions = serving_versions(client.models(), parameters.get("model"))
        self._consecutive_failures = 0
        self.summary = BatchSummary()

    def measure(self, sources: Sequence[Source]) -> None:
        """Measure every source without a valid result. The run continues after a failed source.

        Raises:
            FileAccessError: If results cannot be written. Finished results remain valid.
            ServerError: If the server becomes unreachable, or fails for several consecutive images.
            ParameterError, ModelError: If a parameter, model or version is invalid for all images, or the models are no
                longer ready.
            RequestError: If the server rejects the credential, or a limit of the caller is reached for longer than a
                minute. A later run continues with the images that are left.
        """
        self._sources = sources
        in_progress: dict[Future[Phenotype], _ImageJob] = {}
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="measure")
        try:
            for source in sources:
                job = self._prepare(source)
                if job is not None:
                    in_progress[pool.submit(self._measure_one, job)] = job
                if len(in_progress) > self._concurrency:
                    self._collect(in_progress)
            while in_progress:
                self._collect(in_progress)
        finally:
            pool.shutdown(cancel_futures=True)
            for future, job in in_progress.items():
                if not future.cancelled() and future.exception() is None:
                    self._record_result(job, future.result())

    def table_content(self) -> TableContent:
        """Return the results of this run's images with its parameters and models, also of images it did not reach."""
        failed = {outcome.name for outcome in self.summary.by_kind("failed")}
        own = {self._index.finished_name(source) for source in self._sources} - failed
        content = TableContent([], [], [], [])
        for name in self._index.finished_names():
            path = self._index.source_path(name)
            if path is None or not path.exists():
                content.without_photograph.append(name)
            elif not self._has_equal_inputs(name):
                content.with_other_inputs.append(name)
            elif name in own:
                content.names.append(name)
            else:
                content.from_earlier_runs.append(name)
        return content

    def _has_equal_inputs(self, name: str) -> bool:
        entry = self._index.get_entry(name)
        return (
            entry is not None and entry.parameters == self._parameters_json and entry.models <= self._serving_versions
        )

    def _prepare(self, source: Source) -> _ImageJob | None:
        """Return the job for a source, or None if its result is valid or the source cannot be read."""
        try:
            with source.path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            self._record_outcome(ImageOutcome(source, "failed", reason=f"the file cannot be read: {error.strerror}"))
            return None
        job = _ImageJob(source, self._index.assign_name(source, sha256), sha256)
        if self._is_current(job):
            self._record_outcome(ImageOutcome(source, "skipped", job.name, sha256))
            return None
        self._index.mark_unfinished(job.name)
        return job

    def _is_current(self, job: _ImageJob) -> bool:
        entry = self._index.get_entry(job.name)
        return (
            entry is not None
            and (entry.sha256, entry.parameters) == (job.sha256, self._parameters_json)
            and entry.models <= self._serving_versions
            and is_complete(self._folder, job.name)
        )

    def _measure_one(self, job: _ImageJob) -> Phenotype:
        """Measure one image and write its result. Runs in a thread of the pool."""
        page = self._parameters.get("page")
        with _source_errors():
            image = job.source.path.read_bytes()
        if len(image) > UPLOAD_LIMIT_BYTES:
            metadata = read_header(image, page=page)
            parameters: Parameters = {**self._parameters, "page": None, "name": job.source.label.name}
            phenotype = self._client.phenotype(pack_losslessly(image, page), **parameters)
        else:
            with _source_errors():
                phenotype = self._client.phenotype(job.source.path, **self._parameters)
            metadata = phenotype.image
        if {metadata.sha256, hashlib.sha256(image).hexdigest()} != {job.sha256}:
            raise DamagedImageError("the file changed during the measurement: run again when it is complete")
        # The server received the file name. In the tables, files with equal names must be distinguishable.
        metadata = metadata.model_copy(update={"name": job.name + printable(job.source.path.suffix)})
        phenotype = phenotype.model_copy(update={"image": metadata})
        write_result(self._folder, job.name, phenotype, image, page)
        return phenotype

    def _collect(self, in_progress: dict[Future[Phenotype], _ImageJob]) -> None:
        for future in wait(in_progress, return_when=FIRST_COMPLETED).done:
            job = in_progress.pop(future)
            try:
                phenotype = future.result()
            except _FATAL_ERRORS:
                raise
            except ThaleError as error:
                self._record_failure(job, error)
            except OSError as error:
                if error.errno in _ERRORS_OF_ONE_RESULT:
                    reason = f"the result cannot be written to {self._folder / job.name}: {error.strerror}"
                    self._record_outcome(ImageOutcome(job.source, "failed", job.name, job.sha256, reason))
                    continue
                with access_errors(WRITE_FAILURE):
                    raise
            else:
                self._consecutive_failures = 0
                self._record_result(job, phenotype)

    def _record_failure(self, job: _ImageJob, error: ThaleError) -> None:
        """Record the failure of an image. If the server is the cause, stop instead of failing all images."""
        is_own_time_limit = isinstance(error, DeadlineExceededError) and self._parameters.get("timeout_s") is not None
        if isinstance(error, ServerError | ModelError) and not is_own_time_limit:
            self._consecutive_failures += 1
            if not self._client.is_ready():
                raise error
            if self._consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
                raise ServerError(
                    f"the server failed for {self._consecutive_failures} consecutive images, check its logs: {error}"
                )
        remove_result(self._folder, job.name)
        request = f" (request {error.request_id})" if error.request_id else ""
        self._record_outcome(ImageOutcome(job.source, "failed", job.name, job.sha256, f"{error}{request}"))

    def _record_result(self, job: _ImageJob, phenotype: Phenotype) -> None:
        models = frozenset((model.name, model.version, model.digest) for model in phenotype.provenance.models)
        self._index.mark_finished(job.name, ResultEntry(job.sha256, self._parameters_json, models))
        self._record_outcome(ImageOutcome(job.source, "measured", job.name, job.sha256))

    def _record_outcome(self, outcome: ImageOutcome) -> None:
        self.summary.outcomes.append(outcome)
        self._on_outcome(outcome)


@contextmanager
def _source_errors() -> Iterator[None]:
    """Raise an error of the file system as one of the image, with which the run continues."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileAccessError("the file was deleted during the run") from error
    except OSError as error:
        raise FileAccessError(f"the file cannot be read: {error.strerror}") from error


def serving_versions(models: Collection[ModelInfo], requested_model: str | None) -> frozenset[ModelIdentity]:
    """Return the versions that serve requests now, with an optional model or pin (`name` or `name@version`)."""
    name, _, version = (requested_model or "").partition("@")
    return frozenset(
        (model.name, served.version, served.digest)
        for model in models
        for served in model.versions
        if (served.version == version if model.name == name and version else served.traffic_percent > 0)
    )

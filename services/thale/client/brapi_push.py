"""Push of an experiment to another BrAPI server. A repetition sends only what that server lacks.

Each object has an external reference with the source `thale` and its identifier there. The push reads the references of
the other server first, and again after a lost response, so that no object is created twice.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from thale.client.brapi_server import Body, BrapiServer
from thale.client.experiments import ExperimentsClient
from thale.errors import ServerUnreachableError, UnexpectedResponseError
from thale.schemas.brapi import BrapiModel, BrapiObservation, BrapiObservationUnit, BrapiStudy, BrapiVariable

SOURCE = "thale"
_BATCH = 500
_MAX_FAILURES = 5
_BACKOFF_S = 1.0
_SERVICES = ("studies", "variables", "observationunits", "observations")
_Items = Iterable[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class PushCount:
    """Numbers of objects of one kind."""

    kind: str
    created: int
    known: int
    """Objects that the server had before."""
    skipped: int = 0
    """Observations without a value."""
    outdated: int = 0
    """Observations of earlier measurements that the server keeps."""


class BrapiPush:
    """One push of an experiment."""

    def __init__(
        self, source: ExperimentsClient, target: BrapiServer, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._source = source
        self._target = target
        self._sleep = sleep

    def run(self, experiment: str) -> list[PushCount]:
        """Push an experiment with its variables, observation units and values.

        Raises:
            UnexpectedResponseError: If the server cannot store them, or refused one.
            ServerUnreachableError: If it fails five times without progress. A repetition continues.
        """
        missing = [service for service in _SERVICES if service not in self._target.writable_services()]
        if missing:
            raise UnexpectedResponseError(f"{self._target.url} does not accept new objects at {', '.join(missing)}")
        study = self._source.get(experiment).id
        [found] = self._source.brapi(BrapiStudy, "studies", studyDbId=study)
        studies, study_count = self._create_missing(
            "studies", "studyDbId", lambda: [(study, _body(found, study, "studyDbId"))], externalReferenceId=study
        )
        variables, variable_count = self._create_missing(
            "variables", "observationVariableDbId", lambda: self._variables(study)
        )
        target_study = studies[study]
        units, unit_count = self._create_units(study, target_study)
        observation_count = self._observations(study, target_study, units, variables)
        return [study_count, variable_count, unit_count, observation_count]

    def _create_units(self, study: str, target_study: str) -> tuple[dict[str, str], PushCount]:
        """Create the plates, and then the plants, which refer to their plates."""
        units: dict[str, str] = {}
        created = known = 0
        for level in ("plate", "plant"):
            items = partial(self._units, study, target_study, level, dict(units))
            found, count = self._create_missing(
                "observationunits", "observationUnitDbId", items, studyDbId=target_study
            )
            units |= found
            created, known = created + count.created, known + count.known
        return units, PushCount("observationunits", created, known)

    def _create_missing(
        self, path: str, key: str, items: Callable[[], _Items], **query: str
    ) -> tuple[dict[str, str], PushCount]:
        """Create the objects that the server lacks. Return the identifiers of all there by reference."""
        before: set[str] | None = None
        failures, last = 0, -1
        while True:
            try:
                known = self._known(path, key, query)
                before = set(known) if before is None else before
                failures, last = (0 if len(known) > last else failures), len(known)
                wanted = self._create(path, key, items(), known)
            except ServerUnreachableError:
                failures += 1
                if failures >= _MAX_FAILURES:
                    raise
                self._sleep(_BACKOFF_S * 2**failures)
            else:
                created = len(wanted - before)
                return known, PushCount(path, created, len(wanted) - created)

    def _known(self, path: str, key: str, query: dict[str, str]) -> dict[str, str]:
        listed = self._target.list(path, **query, externalReferenceSource=SOURCE)
        return {reference: item[key] for item in listed if (reference := _reference(item)) is not None}

    def _create(self, path: str, key: str, items: _Items, known: dict[str, str]) -> set[str]:
        """Create the objects that are not known, add them to the known ones, and return all references."""
        wanted: set[str] = set()
        missing: list[tuple[str, dict[str, Any]]] = []

        def flush() -> None:
            for (reference, _), stored in zip(
                missing, self._target.create(path, [body for _, body in missing]), strict=True
            ):
                known[reference] = stored[key]
            missing.clear()

        for reference, body in items:
            wanted.add(reference)
            if reference not in known:
                missing.append((reference, body))
            if len(missing) == _BATCH:
                flush()
        if missing:
            flush()
        return wanted

    def _variables(self, study: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for item in self._source.brapi(BrapiVariable, "variables", studyDbId=study):
            reference = item.observationVariableDbId
            yield reference, _body(item, reference, "observationVariableDbId")

    def _units(
        self, study: str, target_study: str, level: str, plates: dict[str, str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        listed = self._source.brapi(
            BrapiObservationUnit, "observationunits", studyDbId=study, observationUnitLevelName=level
        )
        for item in listed:
            reference = item.observationUnitDbId
            body = _body(item, reference, "observationUnitDbId") | {"studyDbId": target_study}
            position = body["observationUnitPosition"]
            for part in (position["observationLevel"], *position["observationLevelRelationships"]):
                identifier = plates.get(part.pop("observationUnitDbId", ""))
                if identifier is not None:
                    part["observationUnitDbId"] = identifier
            yield reference, body

    def _observations(
        self, study: str, target_study: str, units: dict[str, str], variables: dict[str, str]
    ) -> PushCount:
        skipped = 0

        def items() -> Iterator[tuple[str, dict[str, Any]]]:
            nonlocal skipped
            skipped = 0
            for item in self._source.brapi(BrapiObservation, "observations", studyDbId=study):
                if item.value is None:
                    skipped += 1
                    continue
                if item.observationUnitDbId not in units:
                    continue  # measured after the units were read
                body = _body(item, item.observationDbId, "observationDbId")
                yield (
                    item.observationDbId,
                    body
                    | {
                        "studyDbId": target_study,
                        "observationUnitDbId": units[item.observationUnitDbId],
                        "observationVariableDbId": variables[item.observationVariableDbId],
                    },
                )

        known, count = self._create_missing("observations", "observationDbId", items, studyDbId=target_study)
        outdated = len(known) - count.created - count.known
        return PushCount("observations", count.created, count.known, skipped, outdated)


def _body(item: BrapiModel, reference: str, key: str) -> dict[str, Any]:
    """Return the body of a new object: without its identifier here, which becomes an external reference."""
    body = item.model_dump(mode="json", exclude_none=True, exclude={key})
    return body | {"externalReferences": [{"referenceId": reference, "referenceSource": SOURCE}]}


def _reference(item: Body) -> str | None:
    """Return the identifier of an object in thale, or None without one. `referenceID` is its name in BrAPI v2.0."""
    for found in item.get("externalReferences") or ():
        if found.get("referenceSource") == SOURCE:
            reference = found.get("referenceId") or found.get("referenceID")
            return None if reference is None else str(reference)
    return None

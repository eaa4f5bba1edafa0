"""A release as a KServe InferenceService, in both directions.

    spec.predictor              the stable version        name: v1-0-0, model.storageUri: its archive
    spec.canary[]               every other version       one predictor each, trafficPercent 0 but for the canary
    annotations release.thale/  what KServe has no field for: archives' digests, cards, roles, exact weight, history

What the spec says holds: whoever drops an entry with kubectl, or sets another percentage, has rolled back or stepped.
An entry that no annotation knows is being loaded, or is on its way out, and nobody is sent there. KServe must be in
Standard mode, 0.20 or newer: https://kserve.github.io/website/docs/model-serving/predictive-inference/rollout-strategies
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from thale.errors import ActuatorError
from thale.schemas import Card, Change, Record, Release, ReleasedVersion

GROUP, API_VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
URL_TEMPLATE = "http://{service}.{namespace}.svc"
"""Where a predictor listens: its Service's name within the cluster."""

Resource = Mapping[str, Any]

_PREFIX = "release.thale/"
_ANNOTATIONS_LIMIT_BYTES = 240 * 1024
"""Kubernetes refuses 256 KiB for all annotations of an object; others have some too."""
_SERVICE_NAME_LIMIT = 63
_AUTOSCALING = (
    "autoScaling",
    "canaryTrafficPercent",
    "maxReplicas",
    "minReplicas",
    "scaleMetric",
    "scaleMetricType",
    "scaleTarget",
)
"""Fields of a predictor that an entry of spec.canary must not have, or has its own way."""


class _Noted(Record):
    """What the annotations say of a version."""

    digest: str
    card: Card


_NOTED = TypeAdapter(dict[str, _Noted])
_STEPS = TypeAdapter(tuple[float, ...])
_HISTORY = TypeAdapter(tuple[Change, ...])


def is_release(resource: Resource) -> bool:
    """Whether an InferenceService is a release of ours, and not somebody else's."""
    return f"{_PREFIX}versions" in (resource["metadata"].get("annotations") or {})


def read_release(resource: Resource, url_template: str = URL_TEMPLATE) -> Release:
    """Return the release that an InferenceService is.

    Args:
        resource: The object as the API gives it.
        url_template: Where its predictors listen; `{service}` and `{namespace}` are filled in.

    Raises:
        ActuatorError: If it is none, or contradicts itself.
    """
    metadata, spec = resource["metadata"], resource["spec"]
    notes = metadata.get("annotations") or {}
    who = f"the InferenceService {metadata['name']}"
    try:
        noted = _NOTED.validate_json(notes[f"{_PREFIX}versions"])
        stable = version_of(spec["predictor"].get("name", ""))
        shares = {version_of(entry["predictor"]["name"]): entry["trafficPercent"] for entry in spec.get("canary") or ()}
        canary = _if_there(notes.get(f"{_PREFIX}canary"), shares)
        namespace = metadata["namespace"]
        release = Release(
            task=notes[f"{_PREFIX}task"],
            stable=str(stable),
            versions={
                version: ReleasedVersion(
                    digest=note.digest,
                    card=note.card,
                    url=predictor_url(metadata["name"], version, namespace, url_template),
                )
                for version, note in noted.items()
                if version == stable or version in shares
            },
            canary=canary,
            weight_percent=_weight(notes.get(f"{_PREFIX}weight"), shares[canary]) if canary else 0.0,
            shadow=_if_there(notes.get(f"{_PREFIX}shadow"), shares),
            steps=_STEPS.validate_json(notes[f"{_PREFIX}steps"]),
            history=_HISTORY.validate_json(notes[f"{_PREFIX}history"]),
        )
    except KeyError as error:
        raise ActuatorError(f"{who} is no release: it has no {error.args[0]}") from error
    except ValidationError as error:
        raise ActuatorError(f"{who} is no release that can be understood: {error}") from error
    if release.name != metadata["name"]:
        raise ActuatorError(f"{who} holds the cards of {release.name}: the two must have one name")
    return release


def write_release(release: Release, live: Resource, uris: Mapping[str, str], also: Iterable[str] = ()) -> Resource:
    """Return what to apply so that an InferenceService becomes this release.

    An entry's replicas are its share of the stable version's `minReplicas`, and one at least. KServe takes as many from
    the stable version, down to one, as soon as they are ready (https://github.com/kserve/kserve/pull/5984): more for a
    canary would leave too few for everybody else.

    Args:
        release: What shall be so.
        live: The object as it is; entries of spec.canary are made after its predictor.
        uris: Where the archive of each version lies that is not yet in `live`.
        also: Versions that get an entry without being released: they are being loaded, or on their way out.

    Raises:
        ActuatorError: If the object is too unlike a release to become one.
    """
    name = live["metadata"]["name"]
    template = live["spec"]["predictor"]
    if not template.get("model"):
        raise ActuatorError(f"the InferenceService {name} has no spec.predictor.model to make a canary after")
    uris = {**storage_uris(live), **uris}
    shares = {release.canary: round(release.weight_percent)}
    entries = [
        _entry(_predictor(name, version, template, uris), shares.get(version, 0), template.get("minReplicas", 1))
        for version in sorted({*release.versions, *also} - {release.stable})
    ]
    model = _predictor(name, release.stable, template, uris)["model"]
    stable = {
        "name": predictor_name(release.stable),
        "model": {field: model[field] for field in ("name", "modelFormat", "storageUri")},
    }
    return {
        "apiVersion": f"{GROUP}/{API_VERSION}",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": live["metadata"]["namespace"], "annotations": _annotations(release)},
        "spec": {"predictor": stable} | ({"canary": entries} if entries else {}),
    }


def storage_uris(resource: Resource) -> Mapping[str, str]:
    """Return where the archive of each version lies that has a predictor, released or not."""
    predictors = [
        resource["spec"]["predictor"],
        *(entry["predictor"] for entry in resource["spec"].get("canary") or ()),
    ]
    versions = ((version_of(predictor.get("name", "")), predictor) for predictor in predictors)
    return {version: predictor["model"].get("storageUri", "") for version, predictor in versions if version is not None}


def predictor_name(version: str) -> str:
    """Return what a version's predictor is called: v1-10-0."""
    return f"v{version.replace('.', '-')}"


def version_of(predictor: str) -> str | None:
    """Return the version that a predictor's name says, None where it says none."""
    match = re.fullmatch(r"v(\d+)-(\d+)-(\d+)", predictor)
    return ".".join(match.groups()) if match else None


def predictor_url(service: str, version: str, namespace: str, template: str = URL_TEMPLATE) -> str:
    """Return where a version's predictor listens within the cluster."""
    return template.format(service=f"{service}-{predictor_name(version)}-predictor", namespace=namespace)


def is_ready(resource: Resource, version: str) -> bool:
    """Whether the predictor of a version beside the stable one is ready, by the object's status.

    The status may be older than the object: its `observedGeneration` counts a Deployment's changes, not the object's
    (https://github.com/kserve/kserve/issues/6081). Who must be sure asks the predictor.

    Raises:
        ActuatorError: If KServe has given it up.
    """
    status = resource.get("status") or {}
    for told in status.get("canaryStatuses") or ():
        if told["name"] == predictor_name(version):
            model = told.get("modelStatus") or {}
            if model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec"):
                why = (model.get("lastFailureInfo") or {}).get("message") or model["transitionStatus"]
                raise ActuatorError(f"{resource['metadata']['name']} {version} cannot be loaded: {why}")
            return bool(told["ready"])
    return False


def _if_there(version: str | None, entries: Mapping[str | None, int]) -> str | None:
    return version if version in entries else None


def _weight(noted: str | None, share: int) -> float:
    """Return the exact weight, as long as KServe's whole percentage agrees: who changed that one meant it."""
    weight = float(noted) if noted is not None else float(share)
    return weight if round(weight) == share else float(share)


def _predictor(service: str, version: str, template: Resource, uris: Mapping[str, str]) -> dict[str, Any]:
    name = predictor_name(version)
    if len(f"{service}-{name}-predictor") > _SERVICE_NAME_LIMIT:
        raise ActuatorError(f"{service}-{name}-predictor is too long for the name of a Service: rename the model")
    model = {"name": "kserve-container", **template["model"], "storageUri": uris[version]}
    kept = {field: value for field, value in template.items() if field not in _AUTOSCALING}
    return {**kept, "name": name, "model": model}


def _entry(predictor: Resource, percent: int, stable_replicas: int) -> dict[str, Any]:
    replicas = max(1, math.ceil(stable_replicas * percent / 100))
    return {"trafficPercent": percent, "predictor": {**predictor, "minReplicas": replicas}}


def _annotations(release: Release) -> dict[str, str]:
    """Return the annotations; a history that would not fit loses its beginning, which the audit log keeps."""
    noted = {
        version: _Noted(digest=released.digest, card=released.card) for version, released in release.versions.items()
    }
    said = {
        "task": release.task,
        "versions": _NOTED.dump_json(noted).decode(),
        "steps": _STEPS.dump_json(release.steps).decode(),
    }
    if release.canary is not None:
        said |= {"canary": release.canary, "weight": json.dumps(release.weight_percent)}
    if release.shadow is not None:
        said["shadow"] = release.shadow
    room = _ANNOTATIONS_LIMIT_BYTES - sum(len(f"{_PREFIX}{name}{text}".encode()) for name, text in said.items())
    lines = list(release.history)
    while len(history := _HISTORY.dump_json(tuple(lines))) > room and lines:
        lines.pop(0)
    said["history"] = history.decode()
    return {f"{_PREFIX}{name}": text for name, text in said.items()}

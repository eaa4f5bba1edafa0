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

from thale.errors import TargetError
from thale.schemas import FrozenModel, ModelCard, Release, ReleaseEvent, VersionManifest

GROUP, API_VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
URL_TEMPLATE = "http://{service}.{namespace}.svc"
"""Where a predictor listens: its Service's name within the cluster."""

Resource = Mapping[str, Any]

_PREFIX = "release.thale/"
_ANNOTATIONS_LIMIT_BYTES = 240 * 1024
"""Kubernetes refuses 256 KiB for all annotations of an object; others have some too."""
_SERVICE_NAME_LIMIT = 63
_AUTOSCALING_FIELDS = (
    "autoScaling",
    "canaryTrafficPercent",
    "maxReplicas",
    "minReplicas",
    "scaleMetric",
    "scaleMetricType",
    "scaleTarget",
)
"""Fields of a predictor that an entry of spec.canary must not have, or has its own way."""


class _Annotations(FrozenModel):
    """What the annotations say of a version."""

    digest: str
    card: ModelCard


_VERSION_ANNOTATIONS = TypeAdapter(dict[str, _Annotations])
_STEPS = TypeAdapter(tuple[float, ...])
_HISTORY = TypeAdapter(tuple[ReleaseEvent, ...])


def is_release(resource: Resource) -> bool:
    """Whether an InferenceService is a release of ours, and not somebody else's."""
    return f"{_PREFIX}versions" in (resource["metadata"].get("annotations") or {})


def release_from_resource(resource: Resource, url_template: str = URL_TEMPLATE) -> Release:
    """Return the release that an InferenceService is.

    Args:
        resource: The object as the API gives it.
        url_template: Where its predictors listen; `{service}` and `{namespace}` are filled in.

    Raises:
        TargetError: If it is none, or contradicts itself.
    """
    metadata, spec = resource["metadata"], resource["spec"]
    annotations = metadata.get("annotations") or {}
    label = f"the InferenceService {metadata['name']}"
    try:
        version_annotations = _VERSION_ANNOTATIONS.validate_json(annotations[f"{_PREFIX}versions"])
        stable = version_from_predictor_name(spec["predictor"].get("name", ""))
        traffic_percents = {
            version_from_predictor_name(entry["predictor"]["name"]): entry["trafficPercent"]
            for entry in spec.get("canary") or ()
        }
        canary = _if_present(annotations.get(f"{_PREFIX}canary"), traffic_percents)
        namespace = metadata["namespace"]
        release = Release(
            task=annotations[f"{_PREFIX}task"],
            stable=str(stable),
            versions={
                version: VersionManifest(
                    digest=annotation.digest,
                    card=annotation.card,
                    url=predictor_url(metadata["name"], version, namespace, url_template),
                )
                for version, annotation in version_annotations.items()
                if version == stable or version in traffic_percents
            },
            canary=canary,
            weight_percent=_exact_weight_percent(annotations.get(f"{_PREFIX}weight"), traffic_percents[canary])
            if canary
            else 0.0,
            shadow=_if_present(annotations.get(f"{_PREFIX}shadow"), traffic_percents),
            steps=_STEPS.validate_json(annotations[f"{_PREFIX}steps"]),
            history=_HISTORY.validate_json(annotations[f"{_PREFIX}history"]),
        )
    except KeyError as error:
        raise TargetError(f"{label} is no release: it has no {error.args[0]}") from error
    except ValidationError as error:
        raise TargetError(f"{label} is no release that can be understood: {error}") from error
    if release.name != metadata["name"]:
        raise TargetError(f"{label} holds the cards of {release.name}: the two must have one name")
    return release


def resource_from_release(
    release: Release, live: Resource, uris: Mapping[str, str], extra_versions: Iterable[str] = ()
) -> Resource:
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
        TargetError: If the object is too unlike a release to become one.
    """
    name = live["metadata"]["name"]
    template = live["spec"]["predictor"]
    if not template.get("model"):
        raise TargetError(f"the InferenceService {name} has no spec.predictor.model to make a canary after")
    uris = {**storage_uris(live), **uris}
    traffic_percents = {release.canary: round(release.weight_percent)}
    entries = [
        _canary_entry(
            _predictor_spec(name, version, template, uris),
            traffic_percents.get(version, 0),
            template.get("minReplicas", 1),
        )
        for version in sorted({*release.versions, *extra_versions} - {release.stable})
    ]
    model = _predictor_spec(name, release.stable, template, uris)["model"]
    stable = {
        "name": predictor_name(release.stable),
        "model": {field: model[field] for field in ("name", "modelFormat", "storageUri")},
    }
    return {
        "apiVersion": f"{GROUP}/{API_VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": live["metadata"]["namespace"],
            "annotations": _build_annotations(release),
        },
        "spec": {"predictor": stable} | ({"canary": entries} if entries else {}),
    }


def storage_uris(resource: Resource) -> Mapping[str, str]:
    """Return where the archive of each version lies that has a predictor, released or not."""
    predictors = [
        resource["spec"]["predictor"],
        *(entry["predictor"] for entry in resource["spec"].get("canary") or ()),
    ]
    versions = ((version_from_predictor_name(predictor.get("name", "")), predictor) for predictor in predictors)
    return {version: predictor["model"].get("storageUri", "") for version, predictor in versions if version is not None}


def predictor_name(version: str) -> str:
    """Return what a version's predictor is called: v1-10-0."""
    return f"v{version.replace('.', '-')}"


def version_from_predictor_name(predictor: str) -> str | None:
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
        TargetError: If KServe has given it up.
    """
    status = resource.get("status") or {}
    for canary_status in status.get("canaryStatuses") or ():
        if canary_status["name"] == predictor_name(version):
            model = canary_status.get("modelStatus") or {}
            if model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec"):
                why = (model.get("lastFailureInfo") or {}).get("message") or model["transitionStatus"]
                raise TargetError(f"{resource['metadata']['name']} {version} cannot be loaded: {why}")
            return bool(canary_status["ready"])
    return False


def _if_present(version: str | None, versions: Mapping[str | None, int]) -> str | None:
    return version if version in versions else None


def _exact_weight_percent(annotation: str | None, traffic_percent: int) -> float:
    """Return the exact weight, as long as KServe's whole percentage agrees: who changed that one meant it."""
    weight = float(annotation) if annotation is not None else float(traffic_percent)
    return weight if round(weight) == traffic_percent else float(traffic_percent)


def _predictor_spec(service: str, version: str, template: Resource, uris: Mapping[str, str]) -> dict[str, Any]:
    name = predictor_name(version)
    if len(f"{service}-{name}-predictor") > _SERVICE_NAME_LIMIT:
        raise TargetError(f"{service}-{name}-predictor is too long for the name of a Service: rename the model")
    model = {"name": "kserve-container", **template["model"], "storageUri": uris[version]}
    inherited = {field: value for field, value in template.items() if field not in _AUTOSCALING_FIELDS}
    return {**inherited, "name": name, "model": model}


def _canary_entry(predictor: Resource, percent: int, stable_replicas: int) -> dict[str, Any]:
    replicas = max(1, math.ceil(stable_replicas * percent / 100))
    return {"trafficPercent": percent, "predictor": {**predictor, "minReplicas": replicas}}


def _build_annotations(release: Release) -> dict[str, str]:
    """Return the annotations; a history that would not fit loses its beginning, which the audit log keeps."""
    version_annotations = {
        version: _Annotations(digest=manifest.digest, card=manifest.card)
        for version, manifest in release.versions.items()
    }
    annotations = {
        "task": release.task,
        "versions": _VERSION_ANNOTATIONS.dump_json(version_annotations).decode(),
        "steps": _STEPS.dump_json(release.steps).decode(),
    }
    if release.canary is not None:
        annotations |= {"canary": release.canary, "weight": json.dumps(release.weight_percent)}
    if release.shadow is not None:
        annotations["shadow"] = release.shadow
    remaining_bytes = _ANNOTATIONS_LIMIT_BYTES - sum(
        len(f"{_PREFIX}{name}{text}".encode()) for name, text in annotations.items()
    )
    events = list(release.history)
    while len(history := _HISTORY.dump_json(tuple(events))) > remaining_bytes and events:
        events.pop(0)
    annotations["history"] = history.decode()
    return {f"{_PREFIX}{name}": text for name, text in annotations.items()}

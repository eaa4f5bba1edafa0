"""Conversion of a release to a KServe InferenceService and back.

    spec.predictor              the stable version        name: v1-0-0, model.storageUri: its archive
    spec.canary[]               every other version       one predictor each, trafficPercent 0 except for the canary
    annotations release.thale/  the rest: digests of archives, cards, roles, exact weight, history

The spec takes precedence over the annotations. An operator who removes an entry with kubectl rolls back, and a changed
percentage is a step. A version that no annotation names is being loaded or unloaded, and receives no requests.
KServe must be version 0.20 or newer in Standard mode (ADR 0020):
https://kserve.github.io/website/docs/model-serving/predictive-inference/rollout-strategies
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from thale.errors import TargetError, describe_validation_error
from thale.schemas import (
    VERSION_PATTERN,
    FrozenModel,
    ModelCard,
    Release,
    ReleaseEvent,
    VersionManifest,
    version_numbers,
)

GROUP, API_VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
URL_TEMPLATE = "http://{service}.{namespace}.svc"
"""Address of a predictor: the name of its Service within the cluster."""

Resource = Mapping[str, Any]

_PREFIX = "release.thale/"
ANNOTATION_KEYS = tuple(
    f"{_PREFIX}{name}" for name in ("canary", "history", "shadow", "steps", "task", "versions", "weight")
)
"""Every annotation of a release. KServe must not copy them into pod templates, and its list compares whole keys."""
_ANNOTATIONS_LIMIT_BYTES = 240 * 1024
"""Kubernetes rejects more than 256 KiB of annotations per object. The difference is for other annotations."""
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
"""Fields of the stable predictor that an entry of spec.canary must not contain, or sets itself."""


class _Annotations(FrozenModel):
    """Annotation of one version."""

    digest: str
    card: ModelCard


_VERSION_ANNOTATIONS = TypeAdapter(dict[str, _Annotations])
_STEPS = TypeAdapter(tuple[float, ...])
_HISTORY = TypeAdapter(tuple[ReleaseEvent, ...])


def is_release(resource: Resource) -> bool:
    """Return whether an InferenceService is a release of thale."""
    return f"{_PREFIX}versions" in (resource["metadata"].get("annotations") or {})


def release_from_resource(resource: Resource, url_template: str = URL_TEMPLATE) -> Release:
    """Return the release of an InferenceService.

    Args:
        resource: The object from the API.
        url_template: Address of a predictor with the placeholders `{service}` and `{namespace}`.

    Raises:
        TargetError: If the object is not a release, or is inconsistent.
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
        raise TargetError(f"{label} is not a release: {error.args[0]} is missing") from error
    except ValidationError as error:
        raise TargetError(f"{label} is not a valid release: {describe_validation_error(error)}") from error
    if release.name != metadata["name"]:
        raise TargetError(f"{label} contains the cards of {release.name}: rename the object to {release.name}")
    return release


def resource_from_release(
    release: Release,
    live: Resource,
    uris: Mapping[str, str],
    extra_versions: Iterable[str] = (),
    min_replicas: Mapping[str, int] = MappingProxyType({}),
) -> Resource:
    """Return the configuration to apply so that an InferenceService becomes this release.

    The replicas of an entry are its share of the stable version's `minReplicas`, at least 1, or those of
    `min_replicas`. KServe removes as many replicas from the stable version, down to 1, when they are ready
    (https://github.com/kserve/kserve/pull/5984). It rejects an entry with more replicas than the stable version.

    Args:
        release: The release.
        live: The present object. Its predictor is the template for entries of spec.canary.
        uris: The `storageUri` of each version that `live` does not contain.
        extra_versions: Unreleased versions with an entry at 0 percent, which are being loaded or unloaded.
        min_replicas: Replicas of versions that are about to receive a larger share of the requests.

    Raises:
        TargetError: If the object has no predictor that can serve as a template, or an entry is necessary although the
            stable version may scale to zero.
    """
    name = live["metadata"]["name"]
    template = _predictor_template(live)
    uris = {**storage_uris(live), **uris}
    entries = []
    others = sorted({*release.versions, *extra_versions} - {release.stable}, key=version_numbers)
    if others:
        _check_canary_can_have_replicas(name, template)
    for version in others:
        percent = round(release.weight_percent) if version == release.canary else 0
        replicas = max(replicas_for_share(live, percent), min_replicas.get(version, 1))
        predictor = {**_predictor_spec(name, version, template, uris), "minReplicas": replicas}
        entries.append({"trafficPercent": percent, "predictor": predictor})
    model = _predictor_spec(name, release.stable, template, uris)["model"]
    fields = ("name", "modelFormat", "storageUri")
    stable = {"name": predictor_name(release.stable), "model": {field: model[field] for field in fields}}
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


def _predictor_template(live: Resource) -> Resource:
    """Return the present predictor, which is the template for entries of spec.canary."""
    template: Resource = live["spec"]["predictor"]
    if not template.get("model"):
        name = live["metadata"]["name"]
        raise TargetError(f"the InferenceService {name} has no spec.predictor.model, which is the template of a canary")
    return template


def _check_canary_can_have_replicas(name: str, template: Resource) -> None:
    if template.get("minReplicas") == 0:
        raise TargetError(
            f"{name} may scale to zero, and KServe limits a canary's replicas to minReplicas of the stable version: "
            "remove components/scale-to-zero from the overlay, deploy, and repeat the command (docs/gpu.md)"
        )


def storage_uris(resource: Resource) -> Mapping[str, str]:
    """Return the `storageUri` of each version with a predictor, released or not."""
    predictors = [
        resource["spec"]["predictor"],
        *(entry["predictor"] for entry in resource["spec"].get("canary") or ()),
    ]
    versions = ((version_from_predictor_name(predictor.get("name", "")), predictor) for predictor in predictors)
    return {version: predictor["model"].get("storageUri", "") for version, predictor in versions if version is not None}


def predictor_name(version: str) -> str:
    """Return the name of a version's predictor, such as v1-10-0."""
    return f"v{version.replace('.', '-')}"


def version_from_predictor_name(predictor: str) -> str | None:
    """Return the version in a predictor's name, None if the name has another form."""
    version = predictor.removeprefix("v").replace("-", ".")
    return version if re.fullmatch(VERSION_PATTERN, version) and predictor == predictor_name(version) else None


def predictor_url(service: str, version: str, namespace: str, template: str = URL_TEMPLATE) -> str:
    """Return the address of a version's predictor within the cluster."""
    return template.format(service=f"{service}-{predictor_name(version)}-predictor", namespace=namespace)


def replicas_for_share(resource: Resource, percent: float) -> int:
    """Return the replicas for a share of the requests: this share of the stable version's `minReplicas`, at least 1."""
    stable_replicas: int = resource["spec"]["predictor"].get("minReplicas", 1)
    return max(1, math.ceil(stable_replicas * percent / 100))


def unused_versions(resource: Resource, release: Release) -> Sequence[str]:
    """Return the versions with an entry at 0 percent that the release does not contain, ascending.

    An interrupted change leaves such an entry, and a removed version has one until its last response.
    """
    unused = storage_uris(resource).keys() - release.versions.keys()
    return sorted(unused, key=version_numbers)


def unused_deployments(resource: Resource) -> Sequence[str]:
    """Return the names of the Deployments of unused versions, which serve no request. Empty if it is not a release."""
    try:
        unused = unused_versions(resource, release_from_resource(resource))
    except TargetError:
        return ()
    return [f"{resource['metadata']['name']}-{predictor_name(version)}-predictor" for version in unused]


def is_ready(resource: Resource, version: str) -> bool:
    """Return whether a replica of a version other than stable is available, according to the object's status.

    The status may be outdated: its `observedGeneration` counts changes of a Deployment, not of the object
    (https://github.com/kserve/kserve/issues/6081). A caller that must be certain sends a request to the predictor.
    KServe never sets `modelStatus` of a canary, so only the pods have the reason for a failure.
    """
    statuses = (resource.get("status") or {}).get("canaryStatuses") or ()
    return any(status["name"] == predictor_name(version) and bool(status.get("ready")) for status in statuses)


def _if_present(version: str | None, versions: Mapping[str | None, int]) -> str | None:
    return version if version in versions else None


def _exact_weight_percent(annotation: str | None, traffic_percent: int) -> float:
    """Return the exact weight, or KServe's integer percentage if an operator has changed it."""
    weight = float(annotation) if annotation is not None else float(traffic_percent)
    return weight if round(weight) == traffic_percent else float(traffic_percent)


def _predictor_spec(service: str, version: str, template: Resource, uris: Mapping[str, str]) -> dict[str, Any]:
    name = predictor_name(version)
    if len(f"{service}-{name}-predictor") > _SERVICE_NAME_LIMIT:
        raise TargetError(f"{service}-{name}-predictor exceeds the 63 characters of a Service name: rename the model")
    model = {"name": "kserve-container", **template["model"], "storageUri": uris[version]}
    inherited = {field: value for field, value in template.items() if field not in _AUTOSCALING_FIELDS}
    return {**inherited, "name": name, "model": model}


def _build_annotations(release: Release) -> dict[str, str]:
    """Return the annotations. A history beyond the size limit loses its oldest events, which the audit log retains."""
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

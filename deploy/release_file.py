"""Writes what is released, as the overlay takes it: kubernetes/overlays/*/release.yaml.

Images are this deploy's. Models are `thale release`'s: a release that the cluster has is written down as it is, so
that applying takes nothing back (kubernetes/README.md, "Releases and deploys").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from deploy.cluster import Cluster
from deploy.context import NAMESPACE, Job
from deploy.images import Named
from thale.files import write_atomically
from thale.kserve.inference_service import is_release

Manifest = Mapping[str, Any]

_HEAD = "# Which images run, and which versions the cluster has released. Written by `make deploy`.\n"
_NOTES = ("task", "versions", "steps", "history")
"""What the base says of a release. A canary and a shadow stand in no manifest: who named them may not share their
ownership, or `thale release` could not take them off again."""


def live_releases(cluster: Cluster) -> Sequence[Manifest]:
    """Return what an apply must say of each model that the cluster has released already."""
    found = cluster.get("inferenceservices.serving.kserve.io", "--namespace", NAMESPACE) or {"items": ()}
    return [_as_released(live) for live in found["items"] if is_release(live)]


def write_release_file(job: Job, images: Sequence[Named], releases: Sequence[Manifest]) -> None:
    """Write release.yaml, if it says something else than before."""
    documents = [_image(image) for image in images]
    if any(image.digest is None for image in images):
        documents += _pulling_only_what_is_not_loaded()
    documents += [_patch(release) for release in releases]
    text = _HEAD + yaml.safe_dump_all(documents, sort_keys=False, width=10_000)
    path = job.overlay / "release.yaml"
    if path.read_text() != text:
        write_atomically(path, text.encode())


def with_releases(manifests: Sequence[Manifest], releases: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return manifests of an earlier deploy with today's releases in them."""
    by_name = {release["metadata"]["name"]: release for release in releases}
    return [
        _merged(manifest, by_name[manifest["metadata"]["name"]])
        if manifest["kind"] == "InferenceService" and manifest["metadata"]["name"] in by_name
        else manifest
        for manifest in manifests
    ]


def _as_released(live: Manifest) -> Manifest:
    notes = live["metadata"]["annotations"]
    predictor = live["spec"]["predictor"]
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {
            "name": live["metadata"]["name"],
            "namespace": NAMESPACE,
            "annotations": {
                name: notes[name] for name in (f"release.thale/{note}" for note in _NOTES) if name in notes
            },
        },
        "spec": {
            "predictor": {"name": predictor["name"], "model": {"storageUri": predictor["model"]["storageUri"]}},
        },
    }


def _merged(manifest: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping) or not isinstance(manifest, Mapping):
        return patch
    return {**manifest, **{name: _merged(manifest.get(name), inner) for name, inner in patch.items()}}


def _image(image: Named) -> Manifest:
    which = {"digest": image.digest} if image.digest else {"newTag": image.tag}
    return {
        "apiVersion": "builtin",
        "kind": "ImageTagTransformer",
        "metadata": {"name": image.name.removeprefix("thale-")},
        "imageTag": {"name": image.name, "newName": image.repository, **which},
    }


def _patch(release: Manifest) -> Manifest:
    name = release["metadata"]["name"]
    return {
        "apiVersion": "builtin",
        "kind": "PatchTransformer",
        "metadata": {"name": name},
        "target": {"kind": "InferenceService", "name": name},
        "patch": yaml.safe_dump(release, sort_keys=False, width=10_000),
    }


def _pulling_only_what_is_not_loaded() -> Sequence[Manifest]:
    """Return what keeps a cluster from asking the internet for images that were loaded into its nodes."""
    places = {"Deployment": "/spec/template/spec/containers/0", "ServingRuntime": "/spec/containers/0"}
    return [
        {
            "apiVersion": "builtin",
            "kind": "PatchTransformer",
            "metadata": {"name": f"loaded-{kind.lower()}"},
            "target": {"kind": kind},
            "patch": yaml.safe_dump([{"op": "add", "path": f"{path}/imagePullPolicy", "value": "IfNotPresent"}]),
        }
        for kind, path in places.items()
    ]

"""Writes images and live releases to the overlay's release.yaml.

This deploy sets the images. `thale release` sets the models: the live release is copied into the file, so that an
apply reverts no rollout (kubernetes/README.md, "Releases and deploys").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.images import ContainerImage
from thale.host.files import write_atomically
from thale.kserve.inference_service import is_release

Manifest = Mapping[str, Any]

_HEADER = "# Images and live releases of the environment. Written by `make deploy`.\n"
_ANNOTATIONS = ("task", "versions", "steps", "history")
"""Annotations of a release in the base. Canary and shadow are in no manifest: with a second field owner,
`thale release` could not remove them."""


def read_live_releases(cluster: Cluster) -> Sequence[Manifest]:
    """Return a patch for each live release, for use in the next apply."""
    found = cluster.get("inferenceservices.serving.kserve.io", "--namespace", NAMESPACE) or {"items": ()}
    return [_release_patch(live) for live in found["items"] if is_release(live)]


def write_release_file(context: DeployContext, images: Sequence[ContainerImage], releases: Sequence[Manifest]) -> None:
    """Write release.yaml if its content changed."""
    documents = [_image_transformer(image) for image in images]
    if any(image.digest is None for image in images):
        documents += _pull_policy_patches()
    documents += [_patch_transformer(release) for release in releases]
    text = _HEADER + yaml.safe_dump_all(documents, sort_keys=False, width=10_000)
    path = context.overlay / "release.yaml"
    if path.read_text() != text:
        write_atomically(path, text.encode())


def merge_releases(manifests: Sequence[Manifest], releases: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the manifests of an earlier deploy with the live releases merged into them."""
    by_name = {release["metadata"]["name"]: release for release in releases}
    return [
        _deep_merge(manifest, by_name[manifest["metadata"]["name"]])
        if manifest["kind"] == "InferenceService" and manifest["metadata"]["name"] in by_name
        else manifest
        for manifest in manifests
    ]


def _release_patch(live: Manifest) -> Manifest:
    annotations = live["metadata"]["annotations"]
    predictor = live["spec"]["predictor"]
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {
            "name": live["metadata"]["name"],
            "namespace": NAMESPACE,
            "annotations": {
                name: annotations[name]
                for name in (f"release.thale/{suffix}" for suffix in _ANNOTATIONS)
                if name in annotations
            },
        },
        "spec": {
            "predictor": {"name": predictor["name"], "model": {"storageUri": predictor["model"]["storageUri"]}},
        },
    }


def _deep_merge(manifest: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping) or not isinstance(manifest, Mapping):
        return patch
    return {**manifest, **{name: _deep_merge(manifest.get(name), inner) for name, inner in patch.items()}}


def _image_transformer(image: ContainerImage) -> Manifest:
    version_fields = {"digest": image.digest} if image.digest else {"newTag": image.tag}
    return {
        "apiVersion": "builtin",
        "kind": "ImageTagTransformer",
        "metadata": {"name": image.name.removeprefix("thale-")},
        "imageTag": {"name": image.name, "newName": image.repository, **version_fields},
    }


def _patch_transformer(release: Manifest) -> Manifest:
    name = release["metadata"]["name"]
    return {
        "apiVersion": "builtin",
        "kind": "PatchTransformer",
        "metadata": {"name": name},
        "target": {"kind": "InferenceService", "name": name},
        "patch": yaml.safe_dump(release, sort_keys=False, width=10_000),
    }


def _pull_policy_patches() -> Sequence[Manifest]:
    """Return patches that stop a cluster from pulling images that are loaded into its nodes."""
    container_paths = {"Deployment": "/spec/template/spec/containers/0", "ServingRuntime": "/spec/containers/0"}
    return [
        {
            "apiVersion": "builtin",
            "kind": "PatchTransformer",
            "metadata": {"name": f"loaded-{kind.lower()}"},
            "target": {"kind": kind},
            "patch": yaml.safe_dump([{"op": "add", "path": f"{path}/imagePullPolicy", "value": "IfNotPresent"}]),
        }
        for kind, path in container_paths.items()
    ]

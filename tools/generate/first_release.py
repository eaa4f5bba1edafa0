"""Writes base/first-release.yaml: the releases that a cluster begins with, made of the weights in this repository.

`make first-release` runs it after new weights. The file only matters to a cluster that has no releases yet: from then
on they are changed by `thale release` (README.md).
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from thale.kserve import inference_service
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.stores.model_store import file_digest, version_folder
from thale.schemas import Release, VersionManifest
from thale_models.archive import read_golden_predictions, write_archive

FOLDER = Path(__file__).parents[2] / "kubernetes"
FIRST_RELEASE = FOLDER / "base" / "first-release.yaml"
_WEIGHTS = FOLDER.parent / "model-server" / "weights"
_STORE_URI = "pvc://store/models"
"""A volume in the storage account's place, and a folder in the container's: components/azure-blob puts them right."""

_HEADER = """\
# Written by `make first-release` from model-server/weights: the releases that a cluster begins with. Every cluster's
# store must hold these archives (`thale release register`).
"""


def first_release() -> str:
    """Return the file: one patch for each InferenceService.

    Raises:
        ArchiveError: If weights and card do not belong together.
    """
    patches = [_release_patch(folder) for folder in sorted(_WEIGHTS.glob("*/*"))]
    return _HEADER + yaml.safe_dump_all(patches, sort_keys=False, width=10_000, explicit_start=True)


def _release_patch(weights: Path) -> Mapping[str, Any]:
    """Return what makes a model's InferenceService a release of the version in this folder."""
    released = _version_manifest(weights)
    card = released.card
    manifest = (FOLDER / "base" / f"{card.name}.yaml").read_text()
    live = next(found for found in yaml.safe_load_all(manifest) if found["kind"] == "InferenceService")
    release = Release(task=card.task, stable=card.version, versions={card.version: released})
    return dict(
        inference_service.resource_from_release(
            release, live, {card.version: f"{_STORE_URI}/{version_folder(released)}"}
        )
    )


def _version_manifest(weights: Path) -> VersionManifest:
    card = parse_model_card((weights / CARD).read_bytes())
    with tempfile.TemporaryDirectory(prefix="thale-first-release-") as temp_dir:
        archive = write_archive(weights / WEIGHTS, card, Path(temp_dir), read_golden_predictions(weights, card))
        return VersionManifest(digest=file_digest(archive), card=card)


def main() -> int:
    """Write the file."""
    FIRST_RELEASE.write_text(first_release())
    return 0


if __name__ == "__main__":
    sys.exit(main())

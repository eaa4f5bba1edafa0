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
from thale.models.model_card import CARD, WEIGHTS, read_card
from thale.release.registry.stores.model_store import digest_of, folder_name
from thale.schemas import Release, ReleasedVersion
from thale_models.archive import read_golden_answers, write_archive

FOLDER = Path(__file__).parent
FIRST_RELEASE = FOLDER / "base" / "first-release.yaml"
_WEIGHTS = FOLDER.parent / "model-server" / "weights"
_CONTAINER = "pvc://store/models"
"""A volume in the storage account's place, and a folder in the container's: components/azure-blob puts them right."""

_HEAD = """\
# Written by `make first-release` from model-server/weights: the releases that a cluster begins with. Every cluster's
# store must hold these archives (`thale release register`).
"""


def first_release() -> str:
    """Return the file: one patch for each InferenceService.

    Raises:
        ArchiveError: If weights and card do not belong together.
    """
    patches = [_patch(folder) for folder in sorted(_WEIGHTS.glob("*/*"))]
    return _HEAD + yaml.safe_dump_all(patches, sort_keys=False, width=10_000, explicit_start=True)


def _patch(weights: Path) -> Mapping[str, Any]:
    """Return what makes a model's InferenceService a release of the version in this folder."""
    released = _released(weights)
    card = released.card
    manifest = (FOLDER / "base" / f"{card.name}.yaml").read_text()
    live = next(found for found in yaml.safe_load_all(manifest) if found["kind"] == "InferenceService")
    release = Release(task=card.task, stable=card.version, versions={card.version: released})
    return dict(inference_service.write_release(release, live, {card.version: f"{_CONTAINER}/{folder_name(released)}"}))


def _released(weights: Path) -> ReleasedVersion:
    card = read_card((weights / CARD).read_bytes())
    with tempfile.TemporaryDirectory(prefix="thale-first-release-") as room:
        archive = write_archive(weights / WEIGHTS, card, Path(room), read_golden_answers(weights, card))
        return ReleasedVersion(digest=digest_of(archive), card=card)


def main() -> int:
    """Write the file."""
    FIRST_RELEASE.write_text(first_release())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sample releases of models that have a card and no weights."""

import hashlib

from thale.release.lifecycle.transitions import Author
from thale.schemas import ModelCard, Normalisation, Release, VersionManifest

ANNA = Author(who="anna", why="better on dark plates", at="2026-11-21T12:00:00+00:00")


def make_version(name: str, model: str = "plate-seg") -> VersionManifest:
    digest = hashlib.sha256(f"{model} {name}".encode()).hexdigest()
    card = ModelCard(
        name=model,
        version=name,
        task="segmentation",
        classes=("background", "root", "shoot", "seed"),
        mm_per_px=0.0625,
        normalisation=Normalisation(background_mm=4, contrast=32, clip=6),
        net="block-unet",
        tile_px=64,
        overlap_px=16,
        data="none",
        licence="Apache-2.0",
        recipe="none",
        seed=0,
        parameters=0,
        weights_sha256=digest,
    )
    return VersionManifest(digest=f"sha256:{digest}", card=card)


def make_release(stable: str = "1.0.0") -> Release:
    return Release(task="segmentation", stable=stable, versions={stable: make_version(stable)})

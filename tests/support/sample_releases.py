"""Sample releases of models that have a card and no weights."""

import hashlib

from thale.release.lifecycle.transitions import Author
from thale.schemas import ModelCard, Normalisation, Release, VersionManifest

ANNA = Author(who="anna", why="better on dark plates", at="2026-11-21T12:00:00+00:00")


def make_card(name: str, version: str, **changes: object) -> ModelCard:
    """Return the card of a model without weights; `changes` replace fields of it."""
    card = ModelCard(
        name=name,
        version=version,
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
        weights_sha256=hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
    )
    return ModelCard.model_validate({**card.model_dump(), **changes})


def make_version(name: str, model: str = "plate-seg") -> VersionManifest:
    card = make_card(model, name)
    return VersionManifest(digest=f"sha256:{card.weights_sha256}", card=card)


def make_release(stable: str = "1.0.0") -> Release:
    return Release(task="segmentation", stable=stable, versions={stable: make_version(stable)})

"""Tests of the shadow sample store: it retains the worst samples, up to a maximum."""

import json
from pathlib import Path

from thale.facade.inference.shadow_samples import ShadowSampleStore
from thale.facade.postprocess.types import JSON, PhenotypeTask, ShadowPair
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route
from thale.monitoring.plate_statistics import PlateStatistics
from thale.monitoring.shadow_difference import ShadowDifference
from thale.schemas import ImageMetadata


def make_route(version: str) -> Route:
    return Route("plate-seg", version, "segmentation", f"sha256:{version}", "sha256:w", ("background", "root"))


def save_sample(store: ShadowSampleStore, image: str, dice: float) -> None:
    metadata = ImageMetadata(
        width=5, height=4, format="PNG", mode="RGB", bits=8, size_bytes=9, sha256=f"{image:0>64}", name=None
    )
    task = PhenotypeTask(metadata, "sha256:c", "1.0", "2026-11-21", None, JSON, True, b"", None, 0.0)
    stable, shadow, companion = (
        ModelResponse(make_route(version), b"map", 0.1, 5, 4) for version in ("1.0.0", "1.1.0", "2.0.0")
    )
    statistics = PlateStatistics(1, "given", {}, {}, {}, None, False)
    store.save(
        image.encode(), ShadowPair(stable, shadow, companion, task, statistics), ShadowDifference(dice={"root": dice})
    )


def saved_images(folder: Path) -> list[str]:
    return [(pair / "image").read_text() for pair in sorted((folder / "plate-seg" / "1.1.0").iterdir())]


def test_store_keeps_the_worst_samples_first(tmp_path: Path) -> None:
    store = ShadowSampleStore(tmp_path, max_samples_per_version=3)
    for image, dice in (("a", 0.9), ("b", 0.5), ("c", 0.99), ("d", 0.7), ("e", 0.95), ("b", 0.5)):
        save_sample(store, image, dice)
    assert saved_images(tmp_path) == ["b", "d", "a"]


def test_sample_names_versions_and_difference(tmp_path: Path) -> None:
    save_sample(ShadowSampleStore(tmp_path, max_samples_per_version=1), "a", 0.25)
    [folder] = (tmp_path / "plate-seg" / "1.1.0").iterdir()
    description = json.loads((folder / "sample.json").read_text())
    assert (description["stable"]["version"], description["shadow"]["version"]) == ("1.0.0", "1.1.0")
    assert (description["agreement"], description["difference"]["dice"]) == (0.25, {"root": 0.25})
    assert (folder / "shadow").read_bytes() == b"map"

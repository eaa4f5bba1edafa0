"""The worst pairs are kept, and only so many."""

import json
from pathlib import Path

from thale.facade.inference.shadow_samples import Replay
from thale.facade.postprocess.types import JSON, Comparison, Measurement
from thale.facade.upstream.model_response import Answer
from thale.facade.upstream.routing import Choice
from thale.monitoring.comparison import Difference
from thale.monitoring.plate_statistics import Observation
from thale.schemas import ImageFacts


def choice(version: str) -> Choice:
    return Choice("plate-seg", version, "segmentation", f"sha256:{version}", "sha256:w", ("background", "root"))


def keep(replay: Replay, image: str, dice: float) -> None:
    facts = ImageFacts(
        width=5, height=4, format="PNG", mode="RGB", bits=8, size_bytes=9, sha256=f"{image:0>64}", name=None
    )
    work = Measurement(facts, "sha256:c", "1.0", "2026-11-21", None, JSON, True, b"", None, 0.0)
    stable, shadow, companion = (Answer(choice(version), b"map", 0.1, 5, 4) for version in ("1.0.0", "1.1.0", "2.0.0"))
    seen = Observation(1, "given", {}, {}, {}, None, False)
    replay.keep(image.encode(), Comparison(stable, shadow, companion, work, seen), Difference(dice={"root": dice}))


def kept(folder: Path) -> list[str]:
    return [(pair / "image").read_text() for pair in sorted((folder / "plate-seg" / "1.1.0").iterdir())]


def test_only_the_worst_pairs_stay_the_worst_first(tmp_path: Path) -> None:
    replay = Replay(tmp_path, limit=3)
    for image, dice in (("a", 0.9), ("b", 0.5), ("c", 0.99), ("d", 0.7), ("e", 0.95), ("b", 0.5)):
        keep(replay, image, dice)
    assert kept(tmp_path) == ["b", "d", "a"]


def test_a_pair_says_who_answered_and_how_far_apart_they_are(tmp_path: Path) -> None:
    keep(Replay(tmp_path, limit=1), "a", 0.25)
    [folder] = (tmp_path / "plate-seg" / "1.1.0").iterdir()
    told = json.loads((folder / "pair.json").read_text())
    assert (told["stable"]["version"], told["shadow"]["version"]) == ("1.0.0", "1.1.0")
    assert (told["agreement"], told["difference"]["dice"]) == (0.25, {"root": 0.25})
    assert (folder / "shadow").read_bytes() == b"map"

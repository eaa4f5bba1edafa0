"""Store of the shadow samples with the lowest agreement scores, for inspection.

    {folder}/{model}/{version}/{agreement}-{digest}/  image  stable  shadow  sample.json

A name begins with the agreement score, so a listing starts with the worst sample. The number per version is limited.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from thale.facade.postprocess.types import ShadowPair
from thale.monitoring.shadow_difference import ShadowDifference


@dataclass(frozen=True)
class ShadowSampleStore:
    """A folder with a maximum number of samples of each version."""

    folder: Path
    max_samples_per_version: int

    def save(self, image: bytes, pair: ShadowPair, difference: ShadowDifference) -> None:
        """Store a sample if it is among the worst of its version.

        Raises:
            OSError: If the folder is not writable.
        """
        shadow = pair.shadow.route
        folder = self.folder / shadow.name / shadow.version
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = pair.task.metadata.sha256.removeprefix("sha256:")[:12]
        name = f"{max(difference.agreement_score, 0):.4f}-{digest}"
        existing_names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if name in existing_names or (
            len(existing_names) >= self.max_samples_per_version and name >= existing_names[-1]
        ):
            return
        partial = folder / f".{name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        (partial / "image").write_bytes(image)
        (partial / "stable").write_bytes(pair.stable.data)
        (partial / "shadow").write_bytes(pair.shadow.data)
        (partial / "sample.json").write_text(json.dumps(_describe_sample(pair, difference), indent=2), encoding="utf-8")
        partial.rename(folder / name)
        for excess_name in sorted([*existing_names, name])[self.max_samples_per_version :]:
            shutil.rmtree(folder / excess_name)


def _describe_sample(pair: ShadowPair, difference: ShadowDifference) -> dict[str, object]:
    """Return versions, image and differences of a sample, for JSON."""
    stable, shadow = pair.stable.route, pair.shadow.route
    return {
        "model": shadow.name,
        "stable": {"version": stable.version, "digest": stable.digest},
        "shadow": {"version": shadow.version, "digest": shadow.digest},
        "image": pair.task.metadata.model_dump(),
        "scale_source": pair.statistics.scale_source,
        "agreement": difference.agreement_score,
        "difference": asdict(difference),
    }

"""The pairs of answers that agree least, kept in a folder, so that people can look and `simulate` can ask again.

    {folder}/{model}/{version}/{agreement}-{digest}/  image  stable  shadow  sample.json

A name begins with the agreement, so the worst pair comes first in any listing. There are only so many of a version.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from thale.facade.postprocess.types import ShadowPair
from thale.monitoring.comparison import ShadowDifference


@dataclass(frozen=True)
class ShadowSampleStore:
    """The folder, and how many pairs of each version it holds."""

    folder: Path
    max_samples_per_version: int

    def save(self, image: bytes, pair: ShadowPair, difference: ShadowDifference) -> None:
        """Keep a pair if it is among the worst of its version.

        Raises:
            OSError: If the folder cannot be written.
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
    """Return who was asked what and how far the answers are apart, for JSON."""
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

"""The pairs of answers that agree least, kept in a folder, so that people can look and `simulate` can ask again.

    {folder}/{model}/{version}/{agreement}-{digest}/  image  stable  shadow  pair.json

A name begins with the agreement, so the worst pair comes first in any listing. There are only so many of a version.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from thale.facade.postprocess.types import Comparison
from thale.monitoring.comparison import Difference


@dataclass(frozen=True)
class Replay:
    """The folder, and how many pairs of each version it holds."""

    folder: Path
    limit: int

    def keep(self, image: bytes, pair: Comparison, difference: Difference) -> None:
        """Keep a pair if it is among the worst of its version.

        Raises:
            OSError: If the folder cannot be written.
        """
        shadow = pair.shadow.choice
        folder = self.folder / shadow.name / shadow.version
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = pair.work.facts.sha256.removeprefix("sha256:")[:12]
        name = f"{max(difference.agreement, 0):.4f}-{digest}"
        kept = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        if name in kept or (len(kept) >= self.limit and name >= kept[-1]):
            return
        partial = folder / f".{name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        (partial / "image").write_bytes(image)
        (partial / "stable").write_bytes(pair.stable.data)
        (partial / "shadow").write_bytes(pair.shadow.data)
        (partial / "pair.json").write_text(json.dumps(_told(pair, difference), indent=2), encoding="utf-8")
        partial.rename(folder / name)
        for superfluous in sorted([*kept, name])[self.limit :]:
            shutil.rmtree(folder / superfluous)


def _told(pair: Comparison, difference: Difference) -> dict[str, object]:
    """Return who was asked what and how far the answers are apart, for JSON."""
    stable, shadow = pair.stable.choice, pair.shadow.choice
    return {
        "model": shadow.name,
        "stable": {"version": stable.version, "digest": stable.digest},
        "shadow": {"version": shadow.version, "digest": shadow.digest},
        "image": pair.work.facts.model_dump(),
        "scale_source": pair.seen.scale_source,
        "agreement": difference.agreement,
        "difference": asdict(difference),
    }

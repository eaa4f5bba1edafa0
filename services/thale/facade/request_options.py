"""Request options."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thale.facade.deadline import Deadline
from thale.facade.postprocess.types import JSON
from thale.facade.request_stats import RequestStats
from thale.facade.upstream.routing import VersionPin

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class RequestOptions:
    """What a request asks for, whichever protocol it came by."""

    request_id: str
    deadline: Deadline
    stats: RequestStats = field(default_factory=RequestStats)
    media_type: str = JSON
    mm_per_px: float | None = None
    plate_width_mm: float | None = None
    page: int | None = None
    expected_plants: int | None = None
    name: str | None = None
    experiment: str | None = None
    pins: Sequence[VersionPin] = ()
    wide: bool = True

    def config_digest(self) -> str:
        """Return the digest of everything beside image and models that the numbers depend on."""
        config = {
            "mm_per_px": self.mm_per_px,
            "plate_width_mm": self.plate_width_mm,
            "page": self.page,
            "expected_plants": self.expected_plants,
        }
        return f"sha256:{hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()}"


@dataclass(frozen=True)
class Upload:
    """An image as it was received, and the file name that came with it."""

    data: bytes
    name: str | None = None

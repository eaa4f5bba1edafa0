"""Version store for tests with versions of a tiny model, valid or broken."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.tiny_models import write_tiny_model
from thale.errors import UnknownVersionError
from thale.schemas import VersionManifest
from thale_models.archive import WEIGHTS, write_archive

MODEL = "tiny-seg"


@dataclass
class InMemoryVersionStore:
    """A version store in memory, with its archives in a folder."""

    folder: Path
    versions: dict[str, VersionManifest] = field(default_factory=dict)

    def register(self, version: str, *, broken: bool = False) -> VersionManifest:
        """Create a version. The worker of a broken version rejects its weights."""
        model = write_tiny_model(self.folder / version, seed=len(self.versions), version=version)
        path = write_archive(model.weights, model.card, self.folder)
        if broken:
            _corrupt(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.versions[version] = VersionManifest(digest=f"sha256:{digest}", card=model.card)
        return self.versions[version]

    def find(self, model: str, version: str) -> VersionManifest:
        if version not in self.versions:
            raise UnknownVersionError(model, version, list(self.versions))
        return self.versions[version]

    def archive(self, manifest: VersionManifest) -> Path:
        return self.folder / f"{MODEL}-{manifest.card.version}.mar"

    def signatures(self, manifest: VersionManifest) -> Mapping[str, bytes]:
        return {}

    def uri(self, model: str, version: str) -> str:
        return f"https://account.blob.core.windows.net/models/{model}/{version}"


def _corrupt(archive: Path) -> None:
    with zipfile.ZipFile(archive) as original:
        members = {name: original.read(name) for name in original.namelist()}
    members[WEIGHTS] = members[WEIGHTS][:-1] + bytes([members[WEIGHTS][-1] ^ 1])
    with zipfile.ZipFile(archive, "w") as damaged:
        for name, data in members.items():
            damaged.writestr(name, data)

"""Versions of a tiny model on a shelf: registered, as a model store has them, some of them broken."""

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.tiny_models import tiny_model
from thale.errors import UnknownVersionError
from thale.schemas import ReleasedVersion
from thale_models.archive import WEIGHTS, write_archive

MODEL = "tiny-seg"


@dataclass
class Shelf:
    """A model store in memory, its archives in a folder."""

    folder: Path
    versions: dict[str, ReleasedVersion] = field(default_factory=dict)

    def register(self, version: str, *, broken: bool = False) -> ReleasedVersion:
        """Make a version; a broken one has weights that its worker refuses."""
        model = tiny_model(self.folder / version, seed=len(self.versions), version=version)
        path = write_archive(model.weights, model.card, self.folder)
        if broken:
            _damage(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.versions[version] = ReleasedVersion(digest=f"sha256:{digest}", card=model.card)
        return self.versions[version]

    def find(self, model: str, version: str) -> ReleasedVersion:
        if version not in self.versions:
            raise UnknownVersionError(model, version, list(self.versions))
        return self.versions[version]

    def archive(self, released: ReleasedVersion) -> Path:
        return self.folder / f"{MODEL}-{released.card.version}.mar"

    def uri(self, model: str, version: str) -> str:
        return f"https://account.blob.core.windows.net/models/{model}/{version}"


def _damage(archive: Path) -> None:
    with zipfile.ZipFile(archive) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    members[WEIGHTS] = members[WEIGHTS][:-1] + bytes([members[WEIGHTS][-1] ^ 1])
    with zipfile.ZipFile(archive, "w") as damaged:
        for name, data in members.items():
            damaged.writestr(name, data)

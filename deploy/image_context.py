"""What goes into an image, and its digest: the same files give the same tag, so an unchanged tree builds nothing."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.context import Job
from deploy.errors import DeployError
from deploy.state import digest_of_files

_IGNORED = ".dockerignore"
_TAG_LENGTH = 16


@dataclass(frozen=True)
class Image:
    """An image of ours."""

    name: str
    """As manifests call it before release.yaml says which one is meant."""
    dockerfile: str
    repository: str


IMAGES = (
    Image("thale-services", "services/Dockerfile", "thale/services"),
    Image("thale-model-server", "model-server/Dockerfile", "thale/model-server"),
)


def tag_of(job: Job, image: Image) -> str:
    """Return the tag that names an image's content: the digest of its Dockerfile and of all that it may copy.

    Raises:
        DeployError: If the Dockerfile is not there, or .dockerignore is no list of what goes in.
    """
    return digest_of_files(job.root, _files(job, image))[:_TAG_LENGTH]


@contextmanager
def context_of(job: Job, image: Image) -> Iterator[Path]:
    """Give a folder with exactly the files whose digest is the tag; nothing else of the working tree is sent away.

    Without .dockerignore: it has done its work, and `az acr task run` would hold even the Dockerfile back by it.
    """
    with tempfile.TemporaryDirectory(prefix="thale-image-") as room:
        for path in _files(job, image):
            if path.name == _IGNORED:
                continue
            copy = Path(room) / path.relative_to(job.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        yield Path(room)


def _files(job: Job, image: Image) -> Sequence[Path]:
    own = [job.root / image.dockerfile, job.root / _IGNORED]
    absent = [path for path in own if not path.is_file()]
    if absent:
        raise DeployError(f"{absent[0]} is not there, and without it no {image.name} can be built")
    return sorted({*own, *job.tracked(*_places(job.root / _IGNORED))})


def _places(ignored: Path) -> Sequence[str]:
    """Return what a .dockerignore of the form "nothing but these" lets in."""
    lines = [line.strip() for line in ignored.read_text().splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    if patterns[:1] != ["*"]:
        raise DeployError(f"{ignored} must begin with `*`, and then name what goes in by `!PLACE`")
    return [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]

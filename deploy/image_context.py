"""What goes into an image, and its digest: the same files give the same tag, so an unchanged tree builds nothing."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.state import digest_files

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


def image_tag(context: DeployContext, image: Image) -> str:
    """Return the tag that names an image's content: the digest of its Dockerfile and of all that it may copy.

    Raises:
        DeployError: If the Dockerfile is not there, or .dockerignore is no list of what goes in.
    """
    return digest_files(context.root, _files(context, image))[:_TAG_LENGTH]


@contextmanager
def build_context(context: DeployContext, image: Image) -> Iterator[Path]:
    """Give a folder with exactly the files whose digest is the tag; nothing else of the working tree is sent away.

    Without .dockerignore: it has done its work, and `az acr task run` would hold even the Dockerfile back by it.
    """
    with tempfile.TemporaryDirectory(prefix="thale-image-") as temp_dir:
        for path in _files(context, image):
            if path.name == _IGNORED:
                continue
            copy = Path(temp_dir) / path.relative_to(context.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        yield Path(temp_dir)


def _files(context: DeployContext, image: Image) -> Sequence[Path]:
    own = [context.root / image.dockerfile, context.root / _IGNORED]
    missing = [path for path in own if not path.is_file()]
    if missing:
        raise DeployError(f"{missing[0]} is not there, and without it no {image.name} can be built")
    return sorted({*own, *context.tracked_files(*_allowed_paths(context.root / _IGNORED))})


def _allowed_paths(dockerignore: Path) -> Sequence[str]:
    """Return what a .dockerignore of the form "nothing but these" lets in."""
    lines = [line.strip() for line in dockerignore.read_text().splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    if patterns[:1] != ["*"]:
        raise DeployError(f"{dockerignore} must begin with `*`, and then name what goes in by `!PLACE`")
    return [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]

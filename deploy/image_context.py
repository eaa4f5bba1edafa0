"""Build contexts of images, tagged by content: an unchanged tree has the same tag and needs no build.

An overlay with the component gpu gets the model server with torch for CUDA. The build context then has another default
of the build argument DEVICE, because the registry's task has no build arguments.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.context import GPU_COMPONENT, DeployContext
from deploy.errors import DeployError
from deploy.state import digest_files

_IGNORED = ".dockerignore"
_TAG_LENGTH = 16
_CPU_DEVICE, _GPU_DEVICE = "ARG DEVICE=cpu\n", "ARG DEVICE=cu130\n"


@dataclass(frozen=True)
class Image:
    """An image that this repository builds."""

    name: str
    """The name in the manifests of kubernetes/base, which release.yaml replaces."""
    dockerfile: str
    repository: str


IMAGES = (
    Image("thale-services", "services/Dockerfile", "thale/services"),
    Image("thale-model-server", "model-server/Dockerfile", "thale/model-server"),
)


def image_tag(context: DeployContext, image: Image) -> str:
    """Return an image's tag: the digest of its Dockerfile and of all files in its build context.

    Raises:
        DeployError: If the Dockerfile is missing, or .dockerignore is not an allow-list.
    """
    tag = digest_files(context.root, _files(context, image))[:_TAG_LENGTH]
    return f"{tag}-cu130" if _is_for_gpus(context, image) else tag


@contextmanager
def build_context(context: DeployContext, image: Image) -> Iterator[Path]:
    """Create a folder with exactly the files of the tag; no other file of the working tree is uploaded.

    .dockerignore is left out: it is already applied, and `az acr task run` would exclude even the Dockerfile.
    """
    with tempfile.TemporaryDirectory(prefix="thale-image-") as temp_dir:
        for path in _files(context, image):
            if path.name == _IGNORED:
                continue
            copy = Path(temp_dir) / path.relative_to(context.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        if _is_for_gpus(context, image):
            dockerfile = Path(temp_dir) / image.dockerfile
            dockerfile.write_text(dockerfile.read_text().replace(_CPU_DEVICE, _GPU_DEVICE))
        yield Path(temp_dir)


def _is_for_gpus(context: DeployContext, image: Image) -> bool:
    """Return whether the overlay has the component gpu, and the image has a torch build to choose."""
    return GPU_COMPONENT in context.overlay_components and _CPU_DEVICE in (context.root / image.dockerfile).read_text()


def _files(context: DeployContext, image: Image) -> Sequence[Path]:
    own = [context.root / image.dockerfile, context.root / _IGNORED]
    missing = [path for path in own if not path.is_file()]
    if missing:
        raise DeployError(f"{missing[0]} is missing: {image.name} cannot be built without it")
    return sorted({*own, *context.tracked_files(*_allowed_paths(context.root / _IGNORED))})


def _allowed_paths(dockerignore: Path) -> Sequence[str]:
    """Return the paths that a .dockerignore in the form of an allow-list includes."""
    lines = [line.strip() for line in dockerignore.read_text().splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    if patterns[:1] != ["*"]:
        raise DeployError(f"{dockerignore} must begin with `*` and list the included paths as `!PATH`")
    return [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]

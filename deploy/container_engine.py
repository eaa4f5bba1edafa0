"""The program that builds images on a laptop: docker, or podman under its own name or as `docker`."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.commands import run, run_streaming
from deploy.errors import CommandError, MissingPrerequisite

_SOURCE = "https://docs.docker.com/engine/install or https://podman.io/docs/installation"
_MIN_VERSIONS = {"docker": (20, 10, 0), "podman": (4, 0, 0)}


@dataclass(frozen=True)
class ContainerEngine:
    """A program with the command line of docker."""

    program: str
    version: str
    """Output of `--version`."""

    @property
    def is_podman(self) -> bool:
        """Return whether it is podman, also under the name `docker`."""
        return "podman" in self.version.lower()

    @property
    def prefix(self) -> str:
        """Prefix of a local image's name. Kubernetes would search a name without a registry at docker.io."""
        return "localhost/" if self.is_podman else ""

    def load_into_kind(self, reference: str, cluster: str) -> None:
        """Copy an image to the nodes of a kind cluster.

        Raises:
            CommandError: If kind or the engine fails.
        """
        if not self.is_podman:
            run_streaming(["kind", "load", "docker-image", reference, "--name", cluster])
            return
        with tempfile.TemporaryDirectory(prefix="thale-image-") as temp_dir:
            archive = str(Path(temp_dir) / "image.tar")
            run_streaming([self.program, "save", "--output", archive, reference])
            provider = {"KIND_EXPERIMENTAL_PROVIDER": "podman"}
            run_streaming(["kind", "load", "image-archive", archive, "--name", cluster], variables=provider)


def find_engine() -> ContainerEngine:
    """Return the container engine: docker, or podman if docker is missing.

    Raises:
        CommandError: If neither runs.
    """
    program = "docker" if shutil.which("docker") else "podman"
    return ContainerEngine(program, run([program, "--version"]).stdout.strip())


def missing_engine() -> MissingPrerequisite | None:
    """Return the missing prerequisite if no engine runs or it is too old, else None."""
    try:
        engine = find_engine()
    except CommandError as error:
        reason = str(error).splitlines()[-1]
        return MissingPrerequisite(f"docker 20.10 or podman 4.0, or newer: neither runs ({reason})", _SOURCE)
    kind = "podman" if engine.is_podman else "docker"
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", engine.version)
    minimum = ".".join(str(number) for number in _MIN_VERSIONS[kind])
    if found is None or tuple(int(number) for number in found.groups()) < _MIN_VERSIONS[kind]:
        return MissingPrerequisite(f"{kind} {minimum} or newer: the installed version is {engine.version}", _SOURCE)
    return None

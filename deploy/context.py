"""Context of one deploy: settings, working folder, and console."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from deploy.commands import run
from deploy.errors import DeployError, StepOrderError
from deploy.settings import DeploySettings, Environment
from thale.host.files import open_locked

ROOT = Path(__file__).parents[1]
NAMESPACE = "thale"
GPU_COMPONENT = "../../components/gpu"
"""Component of an overlay whose predictors run on GPUs."""


@dataclass(frozen=True)
class DeployContext:
    """Settings, console and checkout that each step receives."""

    settings: DeploySettings
    console: Console
    root: Path = ROOT

    @property
    def environment(self) -> Environment:
        """The environment to deploy to."""
        return self.settings.environment

    @property
    def folder(self) -> Path:
        """Folder of the steps' artifacts, readable by the owner only because plans hold an organisation's names."""
        folder = self.root / ".deploy" / self.environment
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @property
    def overlay(self) -> Path:
        """The kustomize overlay of the environment."""
        return self.root / "kubernetes" / "overlays" / self.environment.overlay

    @property
    def overlay_components(self) -> Sequence[str]:
        """The components of the overlay, as paths relative to it."""
        kustomization = yaml.safe_load((self.overlay / "kustomization.yaml").read_text())
        return tuple(kustomization.get("components") or ())

    @property
    def state_file(self) -> Path:
        """The file of completed steps."""
        return self.folder / "state.json"

    def artifact(self, name: str, step: str) -> Path:
        """Return the path of a file that an earlier step wrote.

        Raises:
            StepOrderError: If the file does not exist yet.
        """
        path = self.folder / name
        if not path.exists():
            raise StepOrderError(f"{path.relative_to(self.root)}", step, self.environment)
        return path

    def tracked_files(self, *pathspecs: str) -> Sequence[Path]:
        """Return the files below these paths that git tracks or would add."""
        listed = run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *pathspecs], folder=self.root
        )
        paths = (self.root / name for name in listed.stdout.split("\0") if name)
        return sorted({path for path in paths if path.is_file()})

    def log(self, text: str) -> None:
        """Print one line."""
        self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the environment against a second deploy from this machine.

        Raises:
            DeployError: If another deploy holds the lock.
        """
        try:
            lock_fd = open_locked(self.folder / "lock", blocking=False)
        except BlockingIOError as error:
            raise DeployError(f"another deploy of {self.environment} is already running on this machine") from error
        try:
            yield
        finally:
            os.close(lock_fd)

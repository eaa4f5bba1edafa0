"""A deploy that is running: its environment, where its files are, and whom it tells."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deploy.commands import run
from deploy.errors import DeployError, StepOrderError
from deploy.settings import Environment, Settings
from thale.files import open_locked

ROOT = Path(__file__).parents[1]
NAMESPACE = "thale"


@dataclass(frozen=True)
class DeployContext:
    """What every step is given."""

    settings: Settings
    console: Console
    root: Path = ROOT

    @property
    def environment(self) -> Environment:
        """Where it goes."""
        return self.settings.environment

    @property
    def folder(self) -> Path:
        """Where steps leave files for each other, readable by their owner alone: plans hold an organisation's names."""
        folder = self.root / ".deploy" / self.environment
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @property
    def overlay(self) -> Path:
        """The overlay of the environment."""
        return self.root / "kubernetes" / "overlays" / self.environment.overlay

    @property
    def state_file(self) -> Path:
        """What has been done."""
        return self.folder / "state.json"

    def artifact(self, name: str, step: str) -> Path:
        """Return a file that an earlier step has left.

        Raises:
            NotYetError: If it has not.
        """
        path = self.folder / name
        if not path.exists():
            raise StepOrderError(f"{path.relative_to(self.root)}", step, self.environment)
        return path

    def tracked_files(self, *pathspecs: str) -> Sequence[Path]:
        """Return the files of the working tree that git knows or would add, below these places."""
        listed = run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *pathspecs], folder=self.root
        )
        paths = (self.root / name for name in listed.stdout.split("\0") if name)
        return sorted({path for path in paths if path.is_file()})

    def log(self, text: str) -> None:
        """Tell a line."""
        self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second deploy of the same environment on this machine out.

        Raises:
            DeployError: If one is running.
        """
        try:
            lock_fd = open_locked(self.folder / "lock", blocking=False)
        except BlockingIOError as error:
            raise DeployError(f"a deploy of {self.environment} is running on this machine already") from error
        try:
            yield
        finally:
            os.close(lock_fd)
